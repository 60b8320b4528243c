"""The service for rows of twenty numbers.

`src/train.py` is `slipway seed-models`, and tested there. Later work: the dashboards; the metrics
that have other names here (`docs/metrics.md` will map them).
"""

import json
import math
from datetime import datetime

import pytest

from tests.seeds.shapes import ByName, like
from tests.seeds.system import System

pytestmark = pytest.mark.slow

BODY = {
    "features": [
        1.5, -0.3, 2.1, 0.8, -1.2, 0.5, 1.8, -0.7, 2.3, 0.2,
        -1.5, 1.1, 0.9, -0.4, 2.0, 0.7, -1.8, 1.3, 0.6, -0.9,
    ]
}  # fmt: skip
ANSWER = {
    "prediction": 1,
    "probability": [0.25, 0.75],
    "model_version": "1",
    "timestamp": "2024-01-27T12:00:00",
}
PROMOTION = """
import mlflow

mlflow.set_tracking_uri("<mlflow>")
client = mlflow.tracking.MlflowClient()
client.transition_model_version_stage(
    name="ml_classifier",
    version="<version>",
    stage="Production",
    archive_existing_versions=True
)
"""


def predict(system: System) -> dict[str, object]:
    answer = system.curl(
        "-X", "POST", "{url}/predict", "-H", "Content-Type: application/json",
        "-d", json.dumps(BODY),
    )  # fmt: skip
    assert answer.status == 200, answer.text
    body: dict[str, object] = answer.json()
    return body


def test_predict(system: System) -> None:
    body = predict(system)
    like(ANSWER, body)
    assert body["prediction"] in (0, 1)
    probability = body["probability"]
    assert isinstance(probability, list) and len(probability) == 2
    assert math.isclose(sum(probability), 1, abs_tol=1e-6)
    assert probability.index(max(probability)) == body["prediction"]
    datetime.fromisoformat(str(body["timestamp"]))
    assert str(body["model_version"]).isdecimal()


def test_health_with_the_state_of_mlflow(system: System) -> None:
    body = system.curl("{url}/health").json()
    like({"status": "healthy", "services": {"mlflow": "healthy"}}, body)
    assert (body["status"], body["services"]["mlflow"]) == ("healthy", "healthy")


def test_metrics(system: System) -> None:
    predict(system)
    text = system.curl("{url}/metrics").text
    assert 'predictions_total{mode="sync",model="ml_classifier"' in text
    assert 'prediction_duration_seconds_count{model="ml_classifier",phase="inference"' in text


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_documentation(system: System, path: str) -> None:
    answer = system.curl(f"{{url}}{path}")
    assert answer.status == 200
    assert "<html" in answer.text


def test_information(system: System) -> None:
    body = system.curl("{url}/").json()
    like({"name": "", "version": "", "endpoints": ByName("")}, body)
    assert body["endpoints"]["predict"] == "POST /predict"


def test_model_information(system: System) -> None:
    answer = system.curl("{url}/model-info?name=ml_classifier")
    assert answer.status == 200
    like({"name": "", "version": "1"}, answer.json())
    assert system.curl("{url}/model-info").status == 200


@pytest.mark.parametrize("version", ["1", "2"])
def test_promotion_by_mlflows_own_client(system: System, version: str) -> None:
    system.python(PROMOTION, mlflow=system.mlflow, version=version)
    system.wait("ml_classifier", production_version=version, serving_version=version)
    body = predict(system)
    assert (body["model_version"], body["model_stage"]) == (version, "Production")
