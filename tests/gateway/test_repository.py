"""Triton's own client manages the models of a running gateway."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from tests.conftest import settings_for_tests
from tests.gateway.families import AdderFamily, ColourFamily
from tests.support.local import LocalServer, serving

ADDER = {"inputs": [[1.0, 2.0]]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """A gateway with two small models; every test leaves them loaded."""
    settings = settings_for_tests(data_dir=tmp_path_factory.mktemp("data"), cache="off")
    families = {"adder": AdderFamily(), "colours": ColourFamily()}
    with serving(settings, families) as found:
        yield found


@contextmanager
def triton(port: int) -> Iterator[Any]:
    client = InferenceServerClient(f"127.0.0.1:{port}")
    try:
        yield client
    finally:
        client.close()


@pytest.fixture
def client(server: LocalServer) -> Iterator[Any]:
    with triton(server.port) as client:
        yield client


def rows_of_two() -> Any:
    tensor = InferInput("inputs", [1, 2], "FP64")
    return tensor.set_data_from_numpy(np.array([[1.0, 2.0]]))


def index(client: Any) -> dict[str, dict[str, str]]:
    return {row["name"]: row for row in client.get_model_repository_index()}


def stats(client: Any, name: str, version: str = "") -> dict[str, Any]:
    (found,) = client.get_inference_statistics(name, version)["model_stats"]
    assert isinstance(found, dict)
    return found


def test_a_model_is_unloaded_and_loaded(server: LocalServer, client: Any) -> None:
    ready = {"name": "adder", "version": "7", "state": "READY", "reason": ""}
    assert index(client)["adder"] == ready
    client.unload_model("adder", unload_dependents=True)
    row = index(client)["adder"]
    assert (row["version"], row["state"]) in {("7", "UNLOADING"), ("7", "UNAVAILABLE")}
    assert not client.is_model_ready("adder")
    assert not client.is_model_ready("adder", "7")
    assert client.is_server_ready()
    with pytest.raises(InferenceServerException, match="unloaded by request") as caught:
        client.infer("adder", [rows_of_two()])
    assert caught.value.status() == "503"
    answer = server.client.post("/models/adder/predict", json=ADDER)
    assert answer.status_code == 503
    error = answer.json()["error"]
    assert error["message"] == "The model adder was unloaded by request."
    assert "POST /v2/repository/models/adder/load" in error["expected"]
    assert server.client.get("/health/ready").status_code == 200
    assert server.client.get("/health").json()["models"] == {"adder": False, "colours": True}
    assert server.model("adder")["state"] == "unloaded"
    only_ready = server.client.post("/v2/repository/index", json={"ready": True}).json()
    assert [row["name"] for row in only_ready] == ["colours"]
    client.load_model("adder")
    assert index(client)["adder"] == ready
    assert client.is_model_ready("adder")
    assert client.is_model_ready("adder", "7")
    assert client.infer("adder", [rows_of_two()]).as_numpy("predictions").tolist() == [3.0]
    assert server.client.post("/models/adder/predict", json=ADDER).status_code == 200


def test_a_version_is_unloaded_and_loaded(server: LocalServer, client: Any) -> None:
    client.unload_model("colours", query_params={"version": "1"})
    assert index(client)["colours"]["state"] in {"UNLOADING", "UNAVAILABLE"}
    client.load_model("colours", query_params={"version": "1"})
    assert index(client)["colours"]["state"] == "READY"
    with pytest.raises(InferenceServerException, match="no such version") as caught:
        client.load_model("colours", query_params={"version": "2"})
    assert caught.value.status() == "404"


@pytest.mark.parametrize("act", ["load_model", "unload_model"])
def test_an_unknown_model(client: Any, act: str) -> None:
    with pytest.raises(InferenceServerException, match="There is no model of that name") as caught:
        getattr(client, act)("nobody")
    assert caught.value.status() == "404"


def test_overrides_are_refused(client: Any) -> None:
    with pytest.raises(InferenceServerException, match=r"parameters\.config") as caught:
        client.load_model("adder", config='{"max_batch_size": 4}')
    assert caught.value.status() == "422"


@pytest.mark.parametrize(
    ("path", "body", "status", "where"),
    [
        ("index", {"ready": 1}, 422, "ready"),
        ("index", [1], 422, "body"),
        ("models/adder/load", {"parameters": {"file:1/model.onnx": "AAAA"}}, 422, "parameters"),
        ("models/adder/load", {"parameters": {"fast": True}}, 422, "parameters"),
        ("models/adder/load", {"parameters": 3}, 422, "parameters"),
        ("models/adder/unload", {"parameters": {"unload_dependents": 1}}, 422, "dependents"),
        ("models/adder/unload", {"parameters": {"now": 1}}, 422, "parameters"),
        ("models/adder/load?version=%20", {}, 422, "version"),
    ],
)
def test_bodies_that_do_not_fit(
    server: LocalServer, path: str, body: Any, status: int, where: str
) -> None:
    answer = server.client.post(f"/v2/repository/{path}", json=body)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert where in answer.json()["error"]
    assert server.model("adder")["state"] == "ready"


def test_bodies_in_other_clothes(server: LocalServer) -> None:
    post = server.client.post
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    path = "/v2/repository/models/adder/load"
    assert post(path, content=b'{"parameters":{}}', headers=kind).json()["load"] is True
    assert post(path, content=b" ").json() == {"name": "adder", "load": True}
    assert post(path, content=b"{", headers=kind).status_code == 400
    wrong = post(path, content=b"{}", headers={"Content-Type": "text/csv"})
    assert (wrong.status_code, "application/json" in wrong.json()["error"]) == (415, True)


def test_statistics(server: LocalServer, client: Any) -> None:
    before = stats(client, "adder")
    for body, status in ((ADDER, 200), (ADDER, 200), ({"inputs": ["x"]}, 422)):
        assert server.client.post("/models/adder/predict", json=body).status_code == status
    after = stats(client, "adder", "7")
    assert (after["name"], after["version"]) == ("adder", "7")
    assert after["inference_count"] - before["inference_count"] == 2
    assert after["execution_count"] - before["execution_count"] == 2
    assert after["last_inference"] > before["last_inference"] >= 0
    (health,) = after["memory_usage"]
    assert (health["type"], health["byte_size"] > 0) == ("CPU", True)
    inner, was = after["inference_stats"], before["inference_stats"]
    for phase in ("success", "queue", "compute_input", "compute_infer", "compute_output"):
        assert inner[phase]["count"] - was[phase]["count"] == 2, phase
    assert inner["fail"]["count"] - was["fail"]["count"] == 1
    parts = ("queue", "compute_input", "compute_infer", "compute_output")
    assert inner["success"]["ns"] == pytest.approx(sum(inner[part]["ns"] for part in parts), abs=4)
    assert inner["compute_infer"]["ns"] > was["compute_infer"]["ns"]
    everything = client.get_inference_statistics()["model_stats"]
    assert [one["name"] for one in everything] == ["adder", "colours"]
    assert everything[1]["inference_count"] == 0
    for name, version in (("nobody", ""), ("adder", "8")):
        with pytest.raises(InferenceServerException) as caught:
            client.get_inference_statistics(name, version)
        assert caught.value.status() == "404"


def test_statistics_outlive_an_unload(server: LocalServer, client: Any) -> None:
    assert server.client.post("/models/adder/predict", json=ADDER).status_code == 200
    before = stats(client, "adder")
    client.unload_model("adder")
    found = stats(client, "adder")
    assert (found["inference_count"], found["memory_usage"]) == (before["inference_count"], [])
    client.load_model("adder")
    assert stats(client, "adder")["inference_stats"] == before["inference_stats"]


def test_configurations(server: LocalServer, client: Any) -> None:
    found = client.get_model_config("adder")
    described = client.get_model_metadata("adder")
    assert found == client.get_model_config("adder", "7")
    assert (found["name"], found["platform"]) == ("adder", described["platform"])
    assert found["version_policy"] == {"specific": {"versions": [7]}}
    assert found["max_batch_size"] == 8  # what the model takes, below MAX_BATCH_SIZE
    assert found["dynamic_batching"]["max_queue_delay_microseconds"] == 0
    for kind, tensors in (("input", "inputs"), ("output", "outputs")):
        assert found[kind] == [
            {
                "name": one["name"],
                "data_type": f"TYPE_{one['datatype']}",
                "dims": one["shape"][1:],
            }
            for one in described[tensors]
        ]
    assert found["input"][0]["data_type"] == "TYPE_FP64"
    assert found["instance_group"][0]["kind"] == "KIND_CPU"
    picture = client.get_model_config("colours")
    assert picture["max_batch_size"] == 0
    assert "dynamic_batching" not in picture
    assert (picture["input"][0]["data_type"], picture["input"][0]["dims"]) == ("TYPE_STRING", [-1])
    for name, version in (("nobody", ""), ("adder", "8")):
        with pytest.raises(InferenceServerException) as caught:
            client.get_model_config(name, version)
        assert caught.value.status() == "404"
