"""`slipway seed-models`: the demo models in production, once."""

import json

import pytest

from services import families
from tests.cli.conftest import Command
from tests.training.store import mlflow_template, mlflow_uri
from tests.training.test_seed import found as with_a_broken_one
from tests.training.toy import found

__all__ = ["mlflow_template", "mlflow_uri"]


@pytest.fixture(autouse=True)
def _toy(mlflow_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "discover", found)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_uri)


def test_models_are_seeded_once(slipway: Command) -> None:
    first = slipway("seed-models")
    assert first.code == 0, first.err
    assert "1/2 toy-model" in first.err
    assert "toy-model-bottom: in production after" in first.out
    second = slipway("seed-models")
    assert second.code == 0
    assert second.out.splitlines() == [
        "toy-model: in production already",
        "toy-model-bottom: in production already",
    ]


def test_a_failure_fails_the_command_but_not_the_others(
    slipway: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(families, "discover", with_a_broken_one)
    done = slipway("seed-models", "--json")
    assert done.code == 1
    outcomes = {each["name"]: each["outcome"] for each in json.loads(done.out)}
    assert outcomes == {
        "broken-model": "failed",
        "toy-model": "registered",
        "toy-model-bottom": "registered",
    }


def test_only_one_and_by_force(slipway: Command) -> None:
    assert slipway("seed-models", "--only", "toy-model").out.startswith("toy-model: in production")
    forced = slipway("seed-models", "--only", "toy-model", "--force")
    assert forced.code == 0
    assert "in production after" in forced.out


def test_a_model_that_is_none_is_misuse(slipway: Command) -> None:
    done = slipway("seed-models", "--only", "nothing")
    assert done.code == 2
    assert "toy-model" in done.err
