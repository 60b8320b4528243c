"""The service for reviews.

Its document names the models by kind (`tfidf`, `bert`); here their
registered names stand in `models`. The BERT model is left out: `bert` is false in the document too.
"""

import json
import time

import pytest

from services.core.ids import new_id
from tests.seeds.shapes import ByName, like
from tests.seeds.system import System

pytestmark = pytest.mark.slow

_SECONDS = 300.0
HEALTH = {
    "status": "healthy",
    "service": "ML Prediction Service",
    "version": "1.0",
    "models": ByName(True),
}
PREDICTION = {"model": "TF-IDF", "predictions": ["Positive", "Negative"], "count": 2}
INFORMATION = {
    "models": ByName({"loaded": True, "uri": "runs:/cf7f1846eb4846348d8a16fd8465b32a/model"}),
    "mlflow_tracking_uri": "sqlite:///mlflow.db",
}
REQUESTS = """
import requests

response = requests.get('<url>/health')
print(response.text)
data = {"reviews": ["Great movie!", "Bad film"]}
response = requests.post('<url>/predict', json=data)
print(response.text)
"""
TRAINING = """
import mlflow
import mlflow.sklearn
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

mlflow.set_tracking_uri("<mlflow>")

def train_model():
    texts = ["great", "lovely and great", "bad", "dull and bad"]
    model = make_pipeline(TfidfVectorizer(max_features=5000), LogisticRegression())
    return model.fit(texts, ["Positive", "Positive", "Negative", "Negative"])

with mlflow.start_run() as run:
    mlflow.log_param("model_type", "TF-IDF")
    mlflow.log_param("max_features", 5000)
    model = train_model()
    mlflow.log_metric("accuracy", 0.85)
    mlflow.log_metric("f1_score", 0.83)
    # The list spares MLflow a long look for it.
    mlflow.sklearn.log_model(model, "model", pip_requirements=[])

version = mlflow.register_model(
    model_uri=f"runs:/{run.info.run_id}/model",
    name="sentiment-analysis-own"
)
model = mlflow.sklearn.load_model(f"models:/sentiment-analysis-own/{version.version}")
print(version.version, *model.predict(["great"]))
"""


def reviews(system: System, *texts: str) -> dict[str, object]:
    answer = system.curl(
        "-X", "POST", "{url}/predict", "-H", "Content-Type: application/json",
        "-d", json.dumps({"reviews": texts}),
    )  # fmt: skip
    assert answer.status == 200, answer.text
    body: dict[str, object] = answer.json()
    return body


def test_health(system: System) -> None:
    answer = system.curl("{url}/health")
    assert answer.status == 200
    body = answer.json()
    like(HEALTH, body)
    assert body["status"] == "healthy"
    assert body["models"]["sentiment-analysis-tfidf"] is True


@pytest.mark.parametrize(
    "texts",
    [
        ("This movie was amazing!", "Terrible film, waste of time."),
        ("Great movie!", "Bad film"),
    ],
)
def test_predict(system: System, texts: tuple[str, str]) -> None:
    body = reviews(system, *texts)
    like(PREDICTION, body)
    assert {name: body[name] for name in PREDICTION} == PREDICTION


def test_model_information(system: System) -> None:
    answer = system.curl("{url}/model_info")
    assert answer.status == 200
    body = answer.json()
    like(INFORMATION, body)
    assert body["models"]["sentiment-analysis-tfidf"]["loaded"] is True
    assert body["mlflow_tracking_uri"] == system.mlflow


def test_the_same_with_requests(system: System) -> None:
    health, prediction = system.python(REQUESTS, url=system.url).strip().splitlines()
    like(HEALTH, json.loads(health))
    like(PREDICTION, json.loads(prediction))
    assert json.loads(prediction)["predictions"] == ["Positive", "Negative"]


def test_a_model_that_was_trained_and_registered_with_plain_mlflow(system: System) -> None:
    version, prediction = system.python(TRAINING, mlflow=system.mlflow).split()[-2:]
    assert prediction == "Positive"
    system.wait("sentiment-analysis-own", latest_version=version, latest_stage="None")


def test_trigger_training(system: System) -> None:
    """As the document has it: the answer comes when the model is there, on a machine at rest."""
    key = f"Idempotency-Key: {new_id()}"
    until = time.monotonic() + _SECONDS
    # A busy machine may take longer than REQUEST_TIMEOUT; sent again, it goes on waiting.
    while (answer := system.curl("-X", "POST", "{url}/train_model", "-H", key)).status == 202:
        assert time.monotonic() < until, answer.text
    assert answer.status == 200, answer.text
    body = answer.json()
    assert body["message"] == "Model training completed successfully!"
    versions = system.curl("{url}/models/sentiment-analysis-tfidf").json()["versions"]
    assert body["version"] in {one["version"] for one in versions}
