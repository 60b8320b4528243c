"""The platform for experiments on digits.

Later work: `GET /drift/status`, and answering 403 without the header `X-API-Key`; here the header
is sent and changes nothing yet.
"""

import json
import math
import re
import time

import pytest

from tests.seeds.shapes import like
from tests.seeds.system import System

pytestmark = pytest.mark.slow

KEY = "X-API-Key: mlops-secret-key-123"
JSON = "Content-Type: application/json"
_SECONDS = 300.0
TRAINING = {"learning_rate": 0.001, "epochs": 10, "batch_size": 64, "hidden_size": 128}
ACCEPTED = {
    "message": "Training job accepted and queued",
    "job_id": "job_000042",
    "experiment_name": "MNIST_Experiments",
    "status": "running",
}
EXPERIMENT = {
    "experiment_id": "1",
    "name": "MNIST_Experiments",
    "total_runs": 15,
    "best_run": {"run_id": "a1b2c3d4", "metrics": {"accuracy": 0.9607}},
}
MODELS = {
    "models": [{"name": "MNISTClassifier", "latest_version": "3", "latest_stage": "Production"}],
    "total_count": 1,
}
PREDICTION = {
    "prediction": 7,
    "confidence": 0.98,
    "probabilities": [0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.98, 0.0, 0.01],
    "model_name": "MNISTClassifier",
    "model_version": "3",
    "model_stage": "Production",
}
TRANSITION = {"model_name": "MNISTClassifier", "version": "3", "stage": "Production"}
# A thick seven: a bar on top, and a stroke that leans.
SEVEN = [
    0.9 if 5 <= y <= 7 <= x <= 20 or (7 < y < 24 and abs(x - 20 + (y - 7) / 2) < 2) else 0.0
    for y in range(28)
    for x in range(28)
]


def test_health(system: System) -> None:
    assert system.curl("{url}/health").status == 200


def test_experiments(system: System) -> None:
    answer = system.curl("{url}/experiments")
    assert answer.status == 200
    body = answer.json()
    assert body["total_count"] == len(body["experiments"])
    found = {one["name"]: one for one in body["experiments"]}
    like(EXPERIMENT, found["MNIST_Experiments"])
    assert found["MNIST_Experiments"]["total_runs"] >= 1
    assert 0 <= found["MNIST_Experiments"]["best_run"]["metrics"]["accuracy"] <= 1
    # One without runs has no best.
    for one in body["experiments"]:
        like({**EXPERIMENT, "best_run": one["best_run"]}, one)


def test_models(system: System) -> None:
    answer = system.curl("{url}/models")
    assert answer.status == 200
    body = answer.json()
    like(MODELS, body)
    assert body["total_count"] == len(body["models"])
    assert {one["latest_stage"] for one in body["models"]} <= {
        "None", "Staging", "Production", "Archived"
    }  # fmt: skip


def test_predict(system: System) -> None:
    answer = system.curl(
        "-X", "POST", "{url}/predict", "-H", JSON, "-H", KEY,
        "-d", json.dumps({"image": SEVEN}),
    )  # fmt: skip
    assert answer.status == 200, answer.text
    body = answer.json()
    like(PREDICTION, body)
    assert body["prediction"] in range(10)
    assert len(body["probabilities"]) == 10
    assert math.isclose(sum(body["probabilities"]), 1, abs_tol=1e-3)
    assert body["confidence"] == max(body["probabilities"])
    assert (body["model_name"], body["model_stage"]) == ("MNISTClassifier", "Production")


def test_transition(system: System) -> None:
    for version in ("1", TRANSITION["version"]):
        body = {**TRANSITION, "version": version}
        answer = system.curl(
            "-X", "POST", "{url}/models/transition", "-H", JSON, "-d", json.dumps(body)
        )
        assert answer.status == 200, answer.text
        like({"success": True, **TRANSITION}, answer.json())
        system.wait("MNISTClassifier", production_version=version, serving_version=version)
        # Only one version at a time holds production; the one before is archived.
        versions = system.curl("{url}/models/MNISTClassifier").json()["versions"]
        holders = [one["version"] for one in versions if one["stage"] == "Production"]
        assert holders == [version]
    assert {one["stage"] for one in versions} >= {"Archived"}


def test_training(system: System) -> None:
    answer = system.curl(
        "-X", "POST", "{url}/train", "-H", JSON, "-H", KEY, "-d", json.dumps(TRAINING)
    )
    assert answer.status == 202, answer.text
    accepted = answer.json()
    like(ACCEPTED, accepted)
    assert re.fullmatch(r"job_\d{6}", accepted["job_id"])
    for name in ("message", "experiment_name", "status"):
        assert accepted[name] == ACCEPTED[name]
    until = time.monotonic() + _SECONDS
    while True:
        status = system.curl("{url}/train/status/" + accepted["job_id"], "-H", KEY).json()
        assert status["job_id"] == accepted["job_id"]
        if status["status"] != "running":
            break
        assert time.monotonic() < until, status
        time.sleep(0.5)
    assert status["status"] == "completed", status
    assert [point["epoch"] for point in status["history"]] == list(range(1, 11))
    assert 0 <= status["metrics"]["accuracy"] <= 1
    # The worker has saved it to the registry.
    versions = system.curl("{url}/models/MNISTClassifier").json()["versions"]
    assert status["version"] in {one["version"] for one in versions}
    listed = system.curl("-H", KEY, "{url}/train/jobs").json()
    assert accepted["job_id"] in {job["job_id"] for job in listed["jobs"]}
    assert listed["total_count"] >= len(listed["jobs"]) > 0


def test_experiments_with_random_settings(system: System) -> None:
    """The document's `ml_core.experiments.run_experiments`, as Slipway's own command."""
    printed = system.slipway(
        "sweep", "digits", "--num-runs", "2", "--epochs", "1", "--register-best",
        "--stage", "Production", "--json",
    )  # fmt: skip
    version = json.loads(printed)["version"]
    system.wait("MNISTClassifier", production_version=version, serving_version=version)
