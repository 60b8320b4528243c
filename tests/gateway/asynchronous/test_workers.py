"""With a real worker: what is accepted is made, and what is placed on workers answers at once."""

import base64
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.gateway.asynchronous.conftest import families, later
from tests.gateway.asynchronous.test_watching import events
from tests.support.jobs_stand import Stand
from tests.support.local import LocalServer, serving
from tests.support.patience import PATIENCE
from tests.support.pictures import blobs_as

pytestmark = pytest.mark.slow

PNG = blobs_as("PNG")
PLACED = ("adder", "blobs", "colours", "no-op")


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A Redis and one worker."""
    with Stand(tmp_path_factory.mktemp("stand"), job_inline_bytes=2048) as made:
        worker = made.start("tests.support.serve_predictions")
        worker.wait_for("ready.")
        yield made


@pytest.fixture(scope="module")
def here(stand: Stand) -> Iterator[LocalServer]:
    """A gateway that predicts by itself what is asked for at once."""
    with serving(stand.settings, families()) as server:
        yield server


@pytest.fixture(scope="module")
def there(stand: Stand) -> Iterator[LocalServer]:
    """A gateway whose models are all on workers."""
    settings = stand.settings.model_copy(
        update={"worker_models": PLACED, "request_timeout": 20.0, "ledger_shipper": "off"}
    )
    with serving(settings, families()) as server:
        yield server


def ended(client: httpx.Client, path: str) -> dict[str, Any]:
    """Wait for the end of a prediction."""
    until = time.monotonic() + PATIENCE
    while True:
        body: dict[str, Any] = client.get(path).json()
        if body["status"] not in ("starting", "processing"):
            return body
        assert time.monotonic() < until, body
        time.sleep(0.05)


def test_it_is_made(here: LocalServer) -> None:
    client = here.client
    made = later(client, headers={"X-Request-ID": "order-17"}).json()
    body = ended(client, made["urls"]["get"])
    assert body["status"] == "succeeded", body
    assert body["output"] == {"predictions": [3.0]}
    assert (body["model"], body["version"], body["mode"]) == ("adder", "7", "async")
    assert (body["input"], body["request_id"]) == ({"features": [1, 2]}, "order-17")
    assert body["error"] is None and body["progress"] is None
    assert body["created_at"] <= body["started_at"] <= body["completed_at"]
    assert 0 <= body["metrics"]["predict_time"] < PATIENCE
    assert body["feedback"] == []
    assert client.post(f"/predictions/{made['id']}/feedback", json={"value": 1}).status_code == 201
    # Asked for again under its id, it is there.
    again = client.put(made["urls"]["get"], json={"model": "adder", "input": {"features": [1, 2]}})
    assert (again.status_code, again.json()["status"]) == (200, "succeeded")
    # It is one of the predictions on record.
    until = time.monotonic() + PATIENCE
    while made["id"] not in client.get("/predictions?mode=async&limit=200").text:
        assert time.monotonic() < until
        time.sleep(0.1)


def test_waited_for(here: LocalServer) -> None:
    answer = later(here.client, headers={"Prefer": "wait=20"})
    assert answer.status_code == 201, answer.text
    assert answer.headers["Preference-Applied"] == "wait=20"
    assert answer.json()["output"] == {"predictions": [3.0]}
    assert answer.headers["Location"] == f"/predictions/{answer.json()['id']}"


def test_a_refusal_has_the_same_words(here: LocalServer) -> None:
    client = here.client
    refused = client.post("/models/adder/predict", json={"inputs": [["x"]]}).json()["error"]
    made = later(client, {"inputs": [["x"]]}).json()
    body = ended(client, made["urls"]["get"])
    assert body["status"] == "failed"
    for name in ("code", "message", "where", "expected"):
        assert body["error"][name] == refused[name]
    broke = ended(client, later(client, {"features": [13]}).json()["urls"]["get"])
    assert (broke["status"], broke["error"]["code"]) == ("failed", "prediction_failed")
    assert "secret" not in str(broke)


def test_the_task_has_what_the_route_answers(here: LocalServer) -> None:
    client, files = here.client, {"file": ("a.png", PNG)}
    query = "?threshold=0.2&include=image,masks"
    at_once = client.post(f"/process-image{query}", files=files).json()
    task = client.post(f"/process-image/async{query}", files=files).json()
    until = time.monotonic() + PATIENCE
    while (body := client.get(task["status_url"]).json())["status"] == "processing":
        assert time.monotonic() < until
        time.sleep(0.05)
    assert body["status"] == "completed", body
    result = body["result"]
    assert set(result) == set(at_once)
    varying = {"prediction_id", "timestamp", "processing_time", "timings"}
    for name in set(at_once) - varying:
        assert result[name] == at_once[name], name
    assert base64.b64decode(result["image"])[:2] == b"\xff\xd8"
    shown = client.get(f"/predictions/{task['task_id']}").json()
    assert shown["output"]["num_instances"] == at_once["num_instances"]
    assert shown["output"]["image"] == result["image"]


def test_running_work_is_canceled(here: LocalServer) -> None:
    client = here.client
    body = {"model": "no-op", "input": {"do": "sleep", "seconds": 30}}
    made = client.post("/predictions", json=body).json()
    own = made["urls"]["get"]
    accept = {"Accept": "text/event-stream"}
    with ThreadPoolExecutor(1) as pool:

        def watch() -> list[tuple[str, Any]]:
            with client.stream("GET", own, headers=accept) as stream:
                return events(stream)

        watching = pool.submit(watch)
        until = time.monotonic() + PATIENCE
        while client.get(own).json()["status"] != "processing":
            assert time.monotonic() < until
            time.sleep(0.05)
        told = client.post(made["urls"]["cancel"])
        assert told.status_code == 200
        assert told.json()["status"] == "canceled" or told.json()["cancel_requested"] is True
        assert ended(client, own)["status"] == "canceled"
        found = watching.result(PATIENCE)
    assert found[-1][0] == "completed" and found[-1][1]["status"] == "canceled"


def test_placed_models_answer_on_every_route(there: LocalServer, here: LocalServer) -> None:
    files = {"file": ("a.png", PNG)}
    asked: list[tuple[str, dict[str, Any]]] = [
        ("/predict", {"json": {"features": [1, 2]}}),
        ("/models/adder/predict", {"json": {"inputs": [[1, 2]]}}),
        ("/models/adder/predict?version=7", {"json": {"inputs": [[1, 2]]}}),
        ("/predict/batch?model=adder", {"json": {"inputs": [[1, 2], ["x"], [3]]}}),
        ("/v1/models/adder:predict", {"json": {"instances": [[1, 2]]}}),
        ("/models/adder/invocations", {"json": {"inputs": [[1, 2]]}}),
        ("/v2/models/adder/infer", {"json": {"inputs": [
            {"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [1, 2]}]}}),
        ("/process-image", {"files": files}),
        ("/predict", {"files": files}),
        ("/models/colours/predict", {"files": files}),
    ]  # fmt: skip
    for path, body in asked:
        answers = [server.client.post(path, **body) for server in (here, there)]
        assert [answer.status_code for answer in answers] == [200, 200], (path, answers[1].text)
        one, two = (_lasting(answer.json()) for answer in answers)
        if "/v2/" not in path and "invocations" not in path and "/v1/" not in path:
            assert one == two, path
        assert "X-Prediction-ID" in answers[1].headers
        id = answers[1].headers["X-Prediction-ID"]
        shown = there.client.get(f"/predictions/{id}").json()
        assert (shown["status"], shown["id"]) == ("succeeded", id)
    # Errors are the same as well.
    for path, body in (
        ("/models/adder/predict", {"json": {"inputs": [["x"]]}}),
        ("/models/adder/predict", {"json": {"inputs": [[13]]}}),
        ("/models/adder/predict?version=99", {"json": {"inputs": [[1]]}}),
        ("/models/nobody/predict", {"json": {"inputs": [[1]]}}),
        ("/process-image", {"files": {"file": PNG[:-30]}}),
    ):
        answers = [server.client.post(path, **body) for server in (here, there)]
        assert answers[0].status_code == answers[1].status_code >= 400, (path, answers[1].text)
        one, two = (answer.json()["error"] for answer in answers)
        assert {**one, "request_id": None} == {**two, "request_id": None}


def _lasting(body: Any) -> Any:
    varying = {"prediction_id", "timestamp", "processing_time", "timings", "id"}
    if isinstance(body, dict):
        return {name: _lasting(item) for name, item in body.items() if name not in varying}
    return [_lasting(item) for item in body] if isinstance(body, list) else body


def test_placed_models_are_not_in_memory(there: LocalServer) -> None:
    listed = there.client.get("/models").json()["models"]
    assert {model["name"] for model in listed} >= set(PLACED)
    for model in listed:
        assert (model["placement"], model["state"]) == ("workers", "ready")
        assert model["versions_in_memory"] == [] and model["memory_bytes"] == 0
        assert model["serving_version"] is not None
    info = there.client.get("/model/info").json()
    assert (info["name"], info["version"], info["device"]) == ("blobs", "1", "workers")
    assert there.client.get("/health/ready").status_code == 200
    assert there.client.get("/v2/models/adder/ready").status_code == 200
    assert there.client.get("/v2/models/adder/versions/7/ready").status_code == 200
    assert there.client.post("/v2/repository/models/adder/load").status_code == 200
    unloaded = there.client.post("/v2/repository/models/adder/unload")
    assert unloaded.status_code == 422, unloaded.text


def test_nobody_waits_longer_than_the_deadline(stand: Stand) -> None:
    settings = stand.settings.model_copy(
        update={"worker_models": ("*",), "request_timeout": 2.0, "ledger_shipper": "off"}
    )
    with serving(settings, families()) as server:
        body = {"do": "sleep", "seconds": 25}
        answer = server.client.post("/models/no-op/predict", json=body)
        assert answer.status_code == 504, answer.text
        id = answer.headers["X-Prediction-ID"]
        # The worker is free again, long before the model would have woken up.
        assert ended(server.client, f"/predictions/{id}")["status"] == "canceled"
        quick = server.client.post("/models/no-op/predict", json={"do": "echo", "echo": 1})
        while quick.status_code == 504:
            quick = server.client.post("/models/no-op/predict", json={"do": "echo", "echo": 1})
        assert quick.json()["echo"] == 1
        # A caller who hangs up takes the job along.
        with pytest.raises(httpx.ReadTimeout):
            server.client.post("/models/no-op/predict", json=body, timeout=1.0)
        until = time.monotonic() + PATIENCE
        while _open(server.client):
            assert time.monotonic() < until
            time.sleep(0.1)


def _open(client: httpx.Client) -> list[Any]:
    found = []
    for status in ("starting", "processing"):
        found += client.get(f"/predictions?status={status}").json()["predictions"]
    return found
