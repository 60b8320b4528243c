"""The demo models: every variant of every family, once, and one failure stops nothing."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from services import families
from services.core.errors import InvalidInputError
from services.core.settings import Settings
from services.families.base import Family, Fitted, Report, Split
from services.registry.registry import Registry
from services.training.seed import Seeded, demos, seed_models
from tests.conftest import MakeSettings
from tests.training.toy import FAMILY, ToyFamily

Seed = Callable[..., dict[str, Seeded]]


class Broken(ToyFamily):
    name = "broken"
    model_name = "broken-model"
    parameters = ()

    def fit(self, split: Split, params: Any, seed: int, report: Report) -> Fitted:
        raise RuntimeError("no luck")

    def registered_name(self, params: Any) -> str:
        return self.model_name


def found(extra: Sequence[Path] = ()) -> dict[str, Family]:
    return {"broken": Broken(), "toy": FAMILY}


@pytest.fixture
def settings(make_settings: MakeSettings, mlflow_uri: str) -> Settings:
    return make_settings(mlflow_tracking_uri=mlflow_uri)


@pytest.fixture
def seed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Seed:
    monkeypatch.setattr(families, "discover", found)

    def run(**given: Any) -> dict[str, Seeded]:
        results = seed_models(settings, lambda _: None, **given)
        return {result.name: result for result in results}

    return run


def outcomes(results: dict[str, Seeded]) -> dict[str, str]:
    return {name: result.outcome for name, result in results.items()}


def test_every_variant_that_has_a_name_of_its_own_is_a_demo_model() -> None:
    assert [(demo.name, demo.params) for demo in demos({"toy": FAMILY})] == [
        ("toy-model", {}),
        ("toy-model-bottom", {"guess": "bottom"}),
    ]


def test_the_families_of_slipway_give_the_names_of_the_seeds() -> None:
    assert {demo.name for demo in demos(families.discover())} == {
        "ml_classifier",
        "MNISTClassifier",
        "sentiment-analysis-tfidf",
        "sentiment-analysis-bert",
        "custom_cnn",
        "cutler",
    }


def test_models_go_into_production_once_and_a_failure_stops_nothing(
    seed: Seed, settings: Settings
) -> None:
    first = seed()
    assert outcomes(first) == {
        "broken-model": "failed",
        "toy-model": "registered",
        "toy-model-bottom": "registered",
    }
    assert "no luck" in (first["broken-model"].error or "")
    second = seed()
    assert outcomes(second) == {
        "broken-model": "failed",
        "toy-model": "present",
        "toy-model-bottom": "present",
    }
    models = Registry(settings, found()).snapshot().models
    assert set(models) == {"toy-model", "toy-model-bottom"}
    for model in models.values():
        assert model.production is not None
        assert model.production.version == "1"
        assert model.production.tags["version"] == "1.0.0"


def test_one_model_can_be_seeded_anew(seed: Seed, settings: Settings) -> None:
    seed(only="toy")
    again = seed(only="toy-model", force=True)
    assert outcomes(again) == {"toy-model": "registered"}
    model = Registry(settings, found()).snapshot().models["toy-model"]
    assert model.production is not None and model.production.version == "2"


def test_a_model_that_is_none_is_named(seed: Seed) -> None:
    with pytest.raises(InvalidInputError) as refused:
        seed(only="nothing")
    assert "toy-model-bottom" in (refused.value.expected or "")
