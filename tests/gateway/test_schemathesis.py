"""Requests made up from the OpenAPI document: none may end in a 5xx or an undocumented answer."""

from collections.abc import Iterator
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from services.gateway.app import create_app
from tests.conftest import settings_for_tests
from tests.gateway.families import AdderFamily, ColourFamily
from tests.support.blobs import BlobFamily
from tests.support.local import LocalServer, serving
from tests.support.pictures import blobs_as

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]
QUICK, THOROUGH = 80, 600

# Most made-up bytes are no picture; these reach the model and its answer.
PICTURES = [blobs_as(kind) for kind in ("JPEG", "PNG", "WEBP")]
schemathesis.openapi.format("binary", st.one_of(st.binary(max_size=300), st.sampled_from(PICTURES)))

FAMILIES = {"adder": AdderFamily(), "colours": ColourFamily(), "blobs": BlobFamily()}
DOCUMENT = create_app(settings_for_tests(), FAMILIES).openapi()
schema = schemathesis.openapi.from_dict(DOCUMENT)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    data = tmp_path_factory.mktemp("data")
    settings = settings_for_tests(
        data_dir=data,
        max_file_size=100_000,
        # A registry that nobody has used yet.
        mlflow_tracking_uri=f"sqlite:///{data / 'mlflow.db'}",
        mlflow_webhook_secret="a secret of sixteen",
    )
    with serving(settings, FAMILIES) as server:
        yield server


def limited(examples: int) -> hypothesis.settings:
    """The same cases every time, and none of them kept on disk."""
    return hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )


def check(server: LocalServer, case: "schemathesis.Case[Any]") -> None:
    case.call_and_validate(base_url=f"http://127.0.0.1:{server.port}", checks=CHECKS)


@schema.parametrize()
@limited(QUICK)
def test_made_up_requests(server: LocalServer, case: "schemathesis.Case[Any]") -> None:
    check(server, case)


@pytest.mark.slow
@schema.parametrize()
@limited(THOROUGH)
def test_thousands_of_made_up_requests(server: LocalServer, case: "schemathesis.Case[Any]") -> None:
    check(server, case)


def test_pictures_get_through(server: LocalServer) -> None:
    """The strategy above would prove little if its pictures were all refused."""
    for picture in PICTURES:
        answer = server.client.post("/process-image", files={"file": picture})
        assert answer.status_code == 200
