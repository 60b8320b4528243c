"""Models of a real registry, managed by Triton's own client while requests come in."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from tritonclient.utils import InferenceServerException

from tests.gateway.constants import FEATURES, Constants
from tests.gateway.test_repository import stats, triton
from tests.gateway.traffic import Traffic
from tests.support.mlflow_server import MlflowServer
from tests.support.patience import PATIENCE
from tests.support.server import Server

pytestmark = pytest.mark.slow

NAME = "ml_classifier"
BODY = {"inputs": [[0.0] * FEATURES] * 3}


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """A server of its own: the model has the name that `POST /predict` asks for."""
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def model(mlflow: MlflowServer, tmp_path_factory: pytest.TempPathFactory) -> Constants:
    """Versions 1 and 2, the first in production, and 3, which cannot be opened."""
    model = Constants(mlflow, NAME, tmp_path_factory.mktemp("versions"))
    for broken in (False, False, True):
        model.add(broken=broken)
    model.alias("1")
    return model


@pytest.fixture(scope="module")
def gateway(
    mlflow: MlflowServer, model: Constants, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    gateway = Server(
        tmp_path_factory.mktemp("gateway"),
        module="services.gateway",
        MLFLOW_TRACKING_URI=mlflow.uri,
        SERVE_MODELS=NAME,
        REGISTRY_POLL_SECONDS=0.2,
    )
    try:
        gateway.wait_ready()
        yield gateway
    finally:
        gateway.stop()


def until(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_unloaded_and_loaded_under_traffic(model: Constants, gateway: Server) -> None:
    with triton(gateway.port) as client, gateway.client() as http:
        only_first(model, client, http)
        traffic = Traffic(gateway.port, 150, NAME)
        try:
            traffic.wait_for("1", PATIENCE)
            refused = unload(client, traffic)
            # The poll of the registry sees the same version in production, again and again.
            time.sleep(1)
            assert rows(client)[0]["state"] == "UNAVAILABLE"
            assert "unloaded by request" in rows(client)[0]["reason"]
            assert http.get("/health/ready").status_code == 200
            assert f'model_memory_bytes{{model="{NAME}"' not in http.get("/metrics").text
            client.load_model(NAME)
            assert answers(http)["model_version"] == "1"
            refused += settle(traffic)
            unload(client, traffic)
            model.alias("2")  # another version in production: it is wanted
            traffic.mark()
            traffic.wait_for("2", PATIENCE)
            refused += settle(traffic)
        finally:
            traffic.stop()
        assert not [told for told in traffic.wrong if not stated(told)], traffic.wrong[:3]
        assert refused > 50
        assert traffic.versions.keys() == {"1", "2"}
        found = stats(client, NAME, "2")
        once = answers(http)
        assert len(once["predictions"]) == 3
        assert stats(client, NAME, "2")["inference_count"] == found["inference_count"] + 3
        assert stats(client, NAME, "2")["execution_count"] == found["execution_count"] + 1


def test_a_configuration(model: Constants, gateway: Server) -> None:
    with triton(gateway.port) as client, gateway.client() as http:
        only_first(model, client, http)
        found = client.get_model_config(NAME)
        assert found["version_policy"]["specific"]["versions"][0] == 1
        assert found["max_batch_size"] == 128
        rows = {"name": "inputs", "data_type": "TYPE_FP64", "dims": [FEATURES]}
        assert found["input"] == [rows]
        (classes,) = (one for one in found["output"] if one["name"] == "predictions")
        assert (classes["data_type"], classes["dims"]) == ("TYPE_INT64", [])
        client.unload_model(NAME)
        with pytest.raises(InferenceServerException, match="unloaded by request"):
            client.get_model_config(NAME)
        client.load_model(NAME)


def test_versions_by_name_and_one_that_is_broken(model: Constants, gateway: Server) -> None:
    with triton(gateway.port) as client, gateway.client() as http:
        only_first(model, client, http)
        client.load_model(NAME, query_params={"version": "2"})
        assert rows(client)[:2] == [row("1", "READY"), row("2", "READY")]
        client.unload_model(NAME, query_params={"version": "2"})
        answer = http.post(f"/models/{NAME}/predict?version=2", json=BODY)
        assert answer.status_code == 503
        assert "/load?version=2 first" in answer.json()["error"]["expected"]
        assert answers(http)["model_version"] == "1"
        for _ in range(2):  # the pause after a failure does not hold for an explicit load
            with pytest.raises(
                InferenceServerException, match="Version 3 of ml_classifier cannot be loaded"
            ):
                client.load_model(NAME, query_params={"version": "3"})
        (broken,) = [one for one in rows(client) if one["version"] == "3"]
        assert broken["state"] == "UNAVAILABLE"
        assert broken["reason"].startswith("failed to load: ")
        until(lambda: sum('"model failed"' in line for line in gateway.lines) == 2)


def test_memory_is_given_back(model: Constants, gateway: Server) -> None:
    with triton(gateway.port) as client, gateway.client() as http:
        only_first(model, client, http)
        used = []
        for _ in range(12):
            client.unload_model(NAME)
            until(lambda: rows(client)[0]["state"] == "UNAVAILABLE")
            used.append(resident(http))
            client.load_model(NAME)
            answers(http)
        # The first turns fill the caches of the libraries.
        assert used[-1] - used[3] < 5_000_000, used


def only_first(model: Constants, client: Any, http: httpx.Client) -> None:
    """Promote version 1, and wait until it serves and is alone in memory."""
    model.alias("1")
    client.load_model(NAME)
    until(lambda: bool(answers(http)["model_version"] == "1"))
    client.unload_model(NAME)
    client.load_model(NAME)
    until(lambda: [one["version"] for one in rows(client) if one["state"] == "READY"] == ["1"])


def unload(client: Any, traffic: Traffic) -> int:
    """Unload, and wait until callers are told; return how many were told before."""
    before = len(traffic.wrong)
    client.unload_model(NAME)
    until(lambda: len(traffic.wrong) > before + 20)
    return before


def settle(traffic: Traffic) -> int:
    """Check that nobody is refused any more; return how many were."""
    time.sleep(0.3)
    refused = len(traffic.wrong)
    time.sleep(0.7)
    assert len(traffic.wrong) == refused
    return refused


def stated(told: str) -> bool:
    """Whether a caller got the 503 that is foreseen after an unload."""
    words = ("was unloaded by request", "is starting", "is loading", "is warming")
    return told.lower().startswith("http/1.1 503") and any(word in told for word in words)


def answers(http: httpx.Client) -> dict[str, Any]:
    answer = http.post(f"/models/{NAME}/predict", json=BODY)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def row(version: str, state: str) -> dict[str, str]:
    return {"name": NAME, "version": version, "state": state, "reason": ""}


def rows(client: Any) -> list[dict[str, str]]:
    found: list[dict[str, str]] = client.get_model_repository_index()
    return found


def resident(http: httpx.Client) -> float:
    lines = http.get("/metrics").text.splitlines()
    return next(
        float(line.split()[1]) for line in lines if line.startswith("process_resident_memory")
    )
