"""`docs/errors.md` is what the code says, and leaves no kind of error out."""

import ast
import json
import re
from pathlib import Path

import pytest
from mlflow.exceptions import RestException
from mlflow.protos.databricks_pb2 import ErrorCode

from services.core.errors import SlipwayError
from services.gateway import error_catalogue
from services.gateway.error_catalogue import entries, kinds, render
from services.gateway.error_examples import EXAMPLES, of_status
from services.gateway.error_shapes import inference, own, scoring
from services.gateway.errors import shown, status_of
from services.gateway.openapi import _DESCRIPTIONS

ROOT = Path(__file__).parents[2]
PAGE, SERVICES = ROOT / "docs" / "errors.md", ROOT / "services"
# Rooms whose errors no request can meet; the shipper tells MLflow's faults apart by its own.
NOT_SERVED = ("cli/", "training/", "worker/", "ledger/shipping/")


def _defined() -> set[str]:
    """Names of all kinds of error, read from the sources: to import them all takes seconds."""
    parents: dict[str, set[str]] = {}
    for file in SERVICES.rglob("*.py"):
        if file.relative_to(SERVICES).as_posix().startswith(NOT_SERVED):
            continue
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.ClassDef):
                bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
                parents.setdefault(node.name, set()).update(bases)
    found = {SlipwayError.__name__}
    while more := {name for name, bases in parents.items() if bases & found} - found:
        found |= more
    return found - {SlipwayError.__name__}


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == render(), f"python -m {error_catalogue.__name__} > docs/errors.md"


def test_no_kind_of_error_is_missing() -> None:
    names = _defined()
    assert len(names) >= 15
    assert names == {kind.__name__ for kind in kinds()}
    page = PAGE.read_text()
    for kind in kinds():
        if shown(kind("")):
            assert f"| [`{kind.code}`](#{kind.code}) | {status_of(kind(''))} |" in page
            assert f"## {kind.code}\n" in page
        else:
            assert f"`{kind.code}`" in page.partition("## What is not shown")[2]


def test_each_has_a_code_and_a_remedy_of_its_own() -> None:
    told = [(kind.code, kind.remedy) for kind in kinds() if shown(kind(""))]
    assert len({code for code, _ in told}) == len(told)
    assert len({remedy for _, remedy in told}) == len(told)


def test_examples_are_what_a_caller_would_get() -> None:
    for code, told in EXAMPLES.items():
        body = json.loads(own(told))["error"]
        assert body["code"] == code
        assert body["message"] in json.loads(inference(told))["error"]
        assert all(str(value) in told.sentence for value in (told.where, told.help) if value)


@pytest.mark.parametrize("code", EXAMPLES)
def test_mlflows_client_shows_our_text(code: str) -> None:
    told = EXAMPLES[code]
    body = json.loads(scoring(told))
    assert body["error_code"] in ErrorCode.keys()  # noqa: SIM118 - an enum of protobuf's
    error = RestException(body)  # type: ignore[no-untyped-call]
    assert told.message in str(error)
    assert error.error_code == body["error_code"]


def test_what_can_be_tried_again_says_so() -> None:
    again = {entry.told.status for entry in entries() if entry.retry}
    assert {429, 503, 504} <= again
    assert not again & {400, 404, 413, 415, 422}


def test_every_documented_status_has_an_example() -> None:
    """In the OpenAPI document."""
    for status in _DESCRIPTIONS:
        told = of_status(status)
        assert told is not None
        assert told.status == status


def test_links_of_the_page_lead_somewhere() -> None:
    page = PAGE.read_text()
    anchors = set(re.findall(r"^## (\S+)$", page, re.MULTILINE))
    assert set(re.findall(r"\]\(#(\w+)\)", page)) <= anchors
