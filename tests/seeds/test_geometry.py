"""The service that names geometric shapes, and its registry.

Its Python classes are another program's; what they do is here: `ModelRegistry` is `slipway train
--register`, `slipway models` and `slipway deploy`; `ExperimentTracker` is MLflow itself (see the
reviews' test); `ModelMonitor` counts in `GET /metrics`. Later work: drift, feedback, containers.
"""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from services.families.shapes import FAMILY
from tests.seeds.shapes import ByName, like
from tests.seeds.system import System

pytestmark = pytest.mark.slow

LABELS = FAMILY.labels
# What its monitor logs of a prediction.
PREDICTION = {"class": "circle", "confidence": 0.98}
# As short as the versions that the registry holds already.
SHORT = ("--epochs", "1", "--batch-size", "64", "--seed", "0")


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Return a circle and a square, dark on white."""
    circle = np.full((96, 96, 3), 255, np.uint8)
    square = circle.copy()
    cv2.circle(circle, (48, 48), 30, (20, 20, 20), -1)
    cv2.rectangle(square, (20, 20), (76, 76), (20, 20, 20), -1)
    paths = [tmp_path / "circle.png", tmp_path / "square.png"]
    for path, picture in zip(paths, (circle, square), strict=True):
        assert cv2.imwrite(str(path), picture)
    return paths


@pytest.mark.parametrize("path", ["/", "/health", "/model/info"])
def test_status(system: System, path: str) -> None:
    answer = system.curl(f"{{url}}{path}")
    assert answer.status == 200
    like({"version": ""}, answer.json())


def test_classes(system: System) -> None:
    answer = system.curl("{url}/classes")
    assert answer.status == 200
    like({"classes": ["circle"]}, answer.json())
    assert sorted(answer.json()["classes"]) == sorted(LABELS)
    assert answer.json()["model"] == "custom_cnn"


def test_predict(system: System, pictures: list[Path]) -> None:
    answer = system.curl("-X", "POST", "{url}/predict", "-F", f"file=@{pictures[0]}")
    assert answer.status == 200, answer.text
    body = answer.json()
    like(PREDICTION, body)
    assert body["class"] in LABELS
    assert set(body["probabilities"]) == set(LABELS)
    assert body["model_name"] == "custom_cnn"


def test_a_batch(system: System, pictures: list[Path]) -> None:
    forms = [part for path in pictures for part in ("-F", f"files=@{path}")]
    answer = system.curl("-X", "POST", "{url}/predict/batch", *forms)
    assert answer.status == 200, answer.text
    body = answer.json()
    like({"results": [PREDICTION], "count": 2}, body)
    alone = system.curl("-X", "POST", "{url}/predict", "-F", f"file=@{pictures[1]}").json()
    assert body["count"] == len(body["results"]) == 2
    assert body["results"][1]["class"] == alone["class"]


def test_metrics(system: System, pictures: list[Path]) -> None:
    test_predict(system, pictures)
    text = system.curl("{url}/metrics").text
    # Predictions, latency, confidence and errors: what its monitor exposes, but drift.
    for name in (
        "predictions_total",
        "prediction_duration_seconds",
        "prediction_confidence",
        "prediction_errors_total",
    ):
        assert f"# TYPE {name} " in text


def test_summary_of_the_metrics(system: System, pictures: list[Path]) -> None:
    test_predict(system, pictures)
    answer = system.curl("{url}/metrics/summary")
    assert answer.status == 200
    body = answer.json()
    like({"predictions": {"count": 1, "models": [{"model": "", "count": 1}]}}, body)
    (shapes,) = (one for one in body["predictions"]["models"] if one["model"] == "custom_cnn")
    assert 0 < shapes["confidence"]["mean"] <= 1


def test_every_model(system: System) -> None:
    listed = json.loads(system.slipway("models", "list", "--json"))
    like({"models": [{"name": ""}]}, listed)
    assert "custom_cnn" in {one["name"] for one in listed["models"]}


def test_models_in_production_and_one_of_them(system: System) -> None:
    listed = json.loads(system.slipway("models", "list", "--stage", "production", "--json"))
    (found,) = (one for one in listed["models"] if one["name"] == "custom_cnn")
    assert found["production"]["stage"] == "production"
    shown = json.loads(system.slipway("models", "show", "custom_cnn", "--json"))
    like({"versions": [{"version": "1", "metrics": ByName(0.95)}]}, shown)
    production = [one for one in shown["versions"] if one["stage"] == "production"]
    assert [one["version"] for one in production] == [found["production"]["version"]]


def test_the_life_of_a_version(system: System) -> None:
    """Registered in development, promoted to staging, deployed to production."""
    trained = json.loads(
        system.slipway(
            "train", "shapes", *SHORT, "--data-path", str(system.drawings),
            "--experiment-name", "ml-geometry", "--run-name", "custom_cnn_experiment_1",
            "--register-model", "--model-version", "2.0.0", "--stage", "development", "--json",
        )
    )  # fmt: skip
    deploy = (
        "deploy", "--model-name", "custom_cnn", "--version", "2.0.0", "--yes",
        "--data", str(system.drawings),
    )  # fmt: skip
    system.slipway(*deploy, "--source-stage", "development", "--dry-run")
    number = trained["version"]
    assert stage(system, number) == "none"
    system.slipway(*deploy, "--source-stage", "development")
    assert stage(system, number) == "staging"
    system.slipway(*deploy, "--source-stage", "staging")
    assert stage(system, number) == "production"
    system.wait("custom_cnn", production_version=number, serving_version=number)


def test_promotion_without_checks(system: System) -> None:
    for wanted in ("staging", "production"):
        system.slipway("models", "promote", "custom_cnn", "1", "--stage", wanted)
        assert stage(system, "1") == wanted
    system.wait("custom_cnn", production_version="1", serving_version="1")


def stage(system: System, number: str) -> str:
    versions = system.curl("{url}/models/custom_cnn").json()["versions"]
    return str(next(one["stage"] for one in versions if one["version"] == number)).lower()
