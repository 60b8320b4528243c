"""The registry's routes on a real MLflow server: listing, moving, following, and its absence."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.families import discover
from services.families.base import Family
from tests.conftest import settings_for_tests
from tests.gateway.constants import FEATURES, Constants, answer_of
from tests.support.local import LocalServer, serving
from tests.support.mlflow_server import MlflowServer
from tests.support.patience import AT_ONCE, PATIENCE

pytestmark = pytest.mark.slow

NAME = "ml_classifier"
SECRET = "a secret of sixteen"
ROW = {"features": [0.5] * FEATURES}


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def model(mlflow: MlflowServer, tmp_path_factory: pytest.TempPathFactory) -> Constants:
    """Three versions, the first one in production."""
    model = Constants(mlflow, NAME, tmp_path_factory.mktemp("versions"))
    for _ in range(3):
        model.add()
    model.alias("1")
    return model


def families() -> dict[str, Family]:
    """Those that need no weights of their own."""
    return {name: family for name, family in discover().items() if name in ("tabular", "pyfunc")}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def server(mlflow: MlflowServer, model: Constants, data: Path) -> Iterator[LocalServer]:
    settings = settings_for_tests(
        data_dir=data,
        mlflow_tracking_uri=mlflow.uri.replace("http://", "http://user:pass@"),
        mlflow_webhook_secret=SECRET,
        registry_poll_seconds=1.0,
    )
    with serving(settings, families()) as server:
        server.wait_serving(NAME, "1", 120)
        yield server


@pytest.fixture
def client(server: LocalServer) -> httpx.Client:
    return server.client


def promote(server: LocalServer, version: str) -> None:
    body = {"model_name": NAME, "version": version, "stage": "Production"}
    assert server.client.post("/models/transition", json=body).status_code == 200
    server.wait_serving(NAME, version)


def test_listing_and_details(client: httpx.Client, server: LocalServer) -> None:
    promote(server, "1")
    body = client.get("/models").json()
    (entry,) = body["models"]
    assert (body["total_count"], body["stale"]) == (1, False)
    assert (entry["name"], entry["latest_version"], entry["latest_stage"]) == (NAME, "3", "None")
    assert (entry["production_version"], entry["serving_version"]) == ("1", "1")
    assert (entry["family"], entry["state"], entry["placement"]) == (
        "tabular", "ready", "in_process"
    )  # fmt: skip
    assert entry["failure"] is None
    assert "1" in {one["version"] for one in entry["versions_in_memory"]}
    assert client.get("/models?stage=Production").json()["total_count"] == 1
    assert client.get("/models?stage=staging").json()["total_count"] == 0
    assert client.get("/models?stage=foo").status_code == 422
    details = client.get(f"/models/{NAME}").json()
    assert [one["version"] for one in details["versions"]] == ["3", "2", "1"]
    assert details["versions"][-1]["stage"] == "Production"
    assert details["signature"]["inputs"][0]["shape"] == [-1, FEATURES]
    assert "features" in details["input"]
    answer = client.post(f"/models/{NAME}/predict", json=details["example"])
    assert answer.json()["predictions"] == [answer_of(1)]
    assert client.get("/models/nobody").status_code == 404


def test_one_line_predict_says_what_the_documents_say(
    client: httpx.Client, server: LocalServer
) -> None:
    promote(server, "1")
    body = client.post("/predict", json=ROW).json()
    assert body["prediction"] == answer_of(1)
    assert body["probability"] == pytest.approx([0, 1], abs=1e-6)
    assert (body["model_name"], body["model_version"], body["model_stage"]) == (
        NAME, "1", "Production"
    )  # fmt: skip
    assert body["timestamp"]


def test_versions_and_stages_by_name(client: httpx.Client) -> None:
    path = f"/models/{NAME}/predict"
    body = client.post(f"{path}?version=3", json=ROW).json()
    assert (body["model_version"], body["prediction"]) == ("3", answer_of(3))
    assert client.post(f"{path}?version=99", json=ROW).status_code == 404
    assert client.post(f"{path}?stage=staging", json=ROW).status_code == 404
    move = {"model_name": NAME, "version": 3, "stage": "staging"}
    assert client.post("/models/transition", json=move).json()["stage"] == "Staging"
    body = client.post(f"{path}?stage=Staging", json=ROW).json()
    assert (body["model_version"], body["prediction"]) == ("3", answer_of(3))


def test_bad_input_is_refused_by_the_signature(client: httpx.Client) -> None:
    for body in ({"features": [1.0]}, {"features": ["x"] * FEATURES}, {"inputs": "x"}):
        response = client.post(f"/models/{NAME}/predict", json=body)
        assert response.status_code == 422, response.text
        assert response.json()["error"]["where"]


def test_a_transition_is_followed_and_names_who_was_before(
    client: httpx.Client, server: LocalServer
) -> None:
    promote(server, "1")
    body = {"model_name": NAME, "version": 2, "stage": "production"}
    answer = client.post("/models/transition", json=body).json()
    assert answer == {
        "success": True,
        "model_name": NAME,
        "version": "2",
        "stage": "Production",
        "previous_version": "1",
        "message": f"Version 2 of {NAME} is now in stage Production.",
    }
    assert server.wait_serving(NAME, "2") < 5
    assert client.post("/predict", json=ROW).json()["prediction"] == answer_of(2)
    assert server.model(NAME)["previous_version"] == "1"


@pytest.mark.parametrize(
    ("body", "status", "where"),
    [
        ({"model_name": "nobody", "version": "1", "stage": "production"}, 404, "name"),
        ({"model_name": NAME, "version": "99", "stage": "production"}, 404, "version"),
        ({"model_name": NAME, "version": "1", "stage": "heaven"}, 422, "stage"),
        ({"model_name": NAME, "version": 1.5, "stage": "production"}, 422, "version"),
        ({"model_name": NAME, "version": "1"}, 422, "stage"),
        ({"version": "1", "stage": "production"}, 422, "model_name"),
    ],
)
def test_a_transition_that_cannot_be(
    client: httpx.Client, body: dict[str, Any], status: int, where: str
) -> None:
    response = client.post("/models/transition", json=body)
    assert (response.status_code, response.json()["error"]["where"]) == (status, where)


def test_the_webhook_wakes_only_if_it_is_signed(
    client: httpx.Client, server: LocalServer, model: Constants
) -> None:
    body = json.dumps({"entity": "model_version_alias", "action": "created"}).encode()
    sent = str(int(time.time()))
    digest = hmac.new(SECRET.encode(), f"id-1.{sent}.".encode() + body, hashlib.sha256).digest()
    right = {
        "X-MLflow-Signature": "v1," + base64.b64encode(digest).decode(),
        "X-MLflow-Delivery-Id": "id-1",
        "X-MLflow-Timestamp": sent,
    }
    wrong = {**right, "X-MLflow-Signature": "v1,AAAA"}
    for headers in ({}, wrong):
        refused = client.post("/models/webhook", content=body, headers=headers)
        assert refused.status_code == 401
        assert refused.json()["error"]["code"] == "unauthorized"
    assert client.post("/models/webhook", content=body + b" ", headers=right).status_code == 401
    model.alias("3")
    accepted = client.post("/models/webhook", content=body, headers=right)
    assert (accepted.status_code, accepted.json()) == (202, {"accepted": True})
    assert server.wait_serving(NAME, "3") < 5
    # Played back it is refused, however genuine.
    assert client.post("/models/webhook", content=body, headers=right).status_code == 401


def test_experiments_and_runs(client: httpx.Client, model: Constants) -> None:
    experiment = model.client.create_experiment("MNIST_Experiments")
    for accuracy in (0.5, 0.96):
        run = model.client.create_run(experiment)
        model.client.log_metric(run.info.run_id, "accuracy", accuracy)
        model.client.set_terminated(run.info.run_id)
    body = client.get("/experiments").json()
    found = next(one for one in body["experiments"] if one["name"] == "MNIST_Experiments")
    assert body["total_count"] == len(body["experiments"])
    assert found["total_runs"] == 2
    assert found["best_run"] == {"run_id": run.info.run_id, "metrics": {"accuracy": 0.96}}
    body = client.get("/mlflow/runs?experiment=MNIST_Experiments&limit=1").json()
    assert body["total_count"] == 1
    assert body["runs"][0]["run_id"] == run.info.run_id
    assert client.get("/mlflow/runs?experiment=nothing").status_code == 404
    assert client.get("/mlflow/runs?limit=0").status_code == 422


def test_information_hides_credentials(client: httpx.Client, mlflow: MlflowServer) -> None:
    body = client.get("/model-info").json()
    assert body["mlflow_tracking_uri"] == mlflow.uri
    assert body["models"][NAME]["loaded"] is True
    assert body["models"][NAME]["uri"] == f"models:/{NAME}/{body['version']}"
    assert client.get(f"/model/info?name={NAME}").json()["name"] == NAME
    assert client.get("/model/info?name=nobody").status_code == 404
    assert client.get("/health").json()["services"]["mlflow"] == "healthy"


def test_without_mlflow_serving_goes_on_and_a_restart_serves_from_disk(
    server: LocalServer, mlflow: MlflowServer, data: Path
) -> None:
    promote(server, "2")
    mlflow.stop()
    try:
        began = time.monotonic()
        while not server.client.get("/models").json()["stale"]:
            assert time.monotonic() - began < PATIENCE
            time.sleep(0.05)
        check_without_mlflow(server)
        move = {"model_name": NAME, "version": "1", "stage": "production"}
        started = time.monotonic()
        response = server.client.post("/models/transition", json=move)
        assert response.status_code == 503
        assert response.json()["error"]["code"] == "registry_unavailable"
        assert time.monotonic() - started < AT_ONCE
        assert server.client.get("/experiments").status_code == 503
        settings = settings_for_tests(data_dir=data, mlflow_tracking_uri=mlflow.uri)
        with serving(settings, families()) as restarted:
            restarted.wait_serving(NAME, "2")
            check_without_mlflow(restarted)
    finally:
        mlflow.start()
    promote(server, "1")
    assert server.model(NAME)["production_version"] == "1"
    assert server.client.get("/models").json()["stale"] is False


def check_without_mlflow(server: LocalServer) -> None:
    client = server.client
    assert client.post("/predict", json=ROW).json()["prediction"] == answer_of(2)
    assert client.get("/health/ready").status_code == 200
    health = client.get("/health").json()
    assert (health["status"], health["services"]["mlflow"]) == ("degraded", "unavailable")
    body = client.get("/models").json()
    assert body["stale"] is True
    assert body["models"][0]["production_version"] == "2"
    details = client.get(f"/models/{NAME}").json()
    assert details["stale"] is True
    assert "2" in {one["version"] for one in details["versions"]}


def test_a_model_that_is_in_no_production(
    server: LocalServer, mlflow: MlflowServer, tmp_path: Path
) -> None:
    Constants(mlflow, "waiting", tmp_path).add()
    began = time.monotonic()
    while "waiting" not in {one["name"] for one in server.client.get("/models").json()["models"]}:
        assert time.monotonic() - began < PATIENCE
        time.sleep(0.05)
    response = server.client.post("/models/waiting/predict", json=ROW)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (503, "model_unavailable")
    assert "POST /models/transition" in error["expected"]
    body = server.client.post("/models/waiting/predict?version=1", json=ROW).json()
    assert body["prediction"] == answer_of(1)
    picture = server.client.post("/models/waiting/predict?version=1", files={"file": b"\xff\xd8"})
    assert picture.status_code == 415
