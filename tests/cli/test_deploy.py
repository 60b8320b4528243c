"""`slipway deploy`: what it prints, what it changes, and how it ends."""

import json
import re
from io import StringIO
from pathlib import Path

import pytest

from services.registry.registry import Registry
from tests.cli.conftest import Command
from tests.support.versions import Shelf


@pytest.fixture
def registry(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", shelf.uri)
    return shelf.registry(tmp_path / "data")


def stages(registry: Registry, name: str) -> dict[str, str]:
    return {ref.version: str(ref.stage) for ref in registry.versions(name)}


@pytest.mark.slow
def test_a_version_on_its_way(slipway: Command, shelf: Shelf, registry: Registry) -> None:
    """The commands of the seeds, one after the other."""
    name, _ = shelf.register(registry, "classifier", "classifier", production="1")
    shelf.add(registry, name, "classifier", tags={"version": "2.0.0"})
    data = ("--data", shelf.held_out, "--target", "kind")
    command = ("deploy", "--model-name", name, "--version", "2.0.0", "--source-stage")
    dry = slipway(*command, "development", "--dry-run", *data)
    assert dry.code == 0, dry.err + dry.out
    assert "Nothing was changed" in dry.err
    assert stages(registry, name)["3"] == "none"
    done = slipway(*command, "development", *data)
    assert done.code == 0
    assert stages(registry, name)["3"] == "staging"
    wrong = slipway(*command, "development", *data)
    assert wrong.code == 1
    assert "is in staging, not in none" in wrong.err
    assert slipway(*command, "staging", *data).code == 0
    assert stages(registry, name) == {"1": "archived", "2": "none", "3": "production"}


def test_every_check_is_printed_with_its_figures(
    slipway: Command, shelf: Shelf, registry: Registry
) -> None:
    name, _ = shelf.register(registry, "classifier", "worse", production="1")
    done = slipway("deploy", "--model", name, "--version", "2", "--data", shelf.held_out,
                   "--target", "kind")  # fmt: skip
    assert done.code == 1
    assert f"{name} version 2, none → staging, against version 1, which serves" in done.out
    assert re.search(r"^loads +passed +Loaded and warm in [\d.]+ s", done.out, re.MULTILINE)
    assert re.search(r"^accuracy +failed +accuracy 0\.\d{4} on 120 rows", done.out, re.MULTILINE)
    assert re.search(r"^latency +passed +Median [\d.]+ ms, p95 [\d.]+ ms", done.out, re.MULTILINE)
    assert done.err.strip() == f"Version 2 of {name} stays in none: accuracy failed."
    assert stages(registry, name) == {"1": "production", "2": "none"}


def test_for_programs(slipway: Command, shelf: Shelf, registry: Registry) -> None:
    name, _ = shelf.register(registry, "classifier")
    arguments = ("deploy", "--model", name, "--version", "1", "--json")
    failed = slipway(*arguments)
    assert failed.code == 1
    report = json.loads(failed.out)
    assert (report["passed"], report["promoted"]) == (False, False)
    assert {check["name"]: check["outcome"] for check in report["checks"]}["accuracy"] == "failed"
    done = slipway(*arguments, "--skip", "accuracy", "--to", "Production")
    assert done.code == 0, done.out
    assert json.loads(done.out)["promoted"] is True
    assert "Not checked: accuracy." in done.err
    assert stages(registry, name) == {"1": "production"}


def test_a_limit_of_latency(slipway: Command, shelf: Shelf, registry: Registry) -> None:
    name, _ = shelf.register(registry, "classifier")
    done = slipway("deploy", "--model", name, "--version", "1", "--skip", "accuracy",
                   "--max-latency-ms", "0.001")  # fmt: skip
    assert done.code == 1
    assert re.search(r"^latency +failed .*0\.001 ms is allowed", done.out, re.MULTILINE)


@pytest.mark.parametrize(("answer", "stage", "code"), [("y\n", "staging", 0), ("n\n", "none", 1)])
def test_a_person_is_asked(
    slipway: Command, shelf: Shelf, registry: Registry, monkeypatch: pytest.MonkeyPatch,
    answer: str, stage: str, code: int,
) -> None:  # fmt: skip
    name, _ = shelf.register(registry, "classifier")
    keyboard = StringIO(answer)
    monkeypatch.setattr(keyboard, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", keyboard)
    done = slipway("deploy", "--model", name, "--version", "1", "--skip", "accuracy")
    assert done.code == code
    assert "Promote it to staging?" in done.err
    assert done.out.count("latency") == 1
    assert stages(registry, name) == {"1": stage}


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--skip", "luck"], "one of loads, signature, example, accuracy, latency"),
        (["--target", "kind"], "--data"),
        (["--source-stage", "moon"], "production"),
        (["--data", "missing.csv"], "missing.csv"),
        (["--tolerance", "-1"], "tolerance"),
    ],
)
def test_misused(slipway: Command, options: list[str], word: str) -> None:
    done = slipway("deploy", "--model", "iris", "--version", "1", *options)
    assert done.code == 2
    assert word in done.err


def test_an_unknown_model(slipway: Command, shelf: Shelf, registry: Registry) -> None:
    name, _ = shelf.register(registry, "classifier")
    done = slipway("deploy", "--model", name.upper(), "--version", "1")
    assert done.code == 1
    assert name in done.err
