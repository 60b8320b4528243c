"""Jobs that wait: looked up, listed, canceled and watched."""

import json
import threading
import time
import uuid
from typing import Any

import httpx
import pytest

from services.gateway import sse
from services.jobs.names import TRAIN, TRAINING
from services.jobs.submission import NewWork
from services.jobs.sync import JobStore
from tests.gateway.asynchronous.conftest import later
from tests.support.local import LocalServer
from tests.support.patience import PATIENCE
from tests.support.pictures import blobs_as

PNG = blobs_as("PNG")
ASYNC = {"Prefer": "respond-async"}


def events(response: httpx.Response) -> list[tuple[str, Any]]:
    """Read a stream to its end."""
    found = []
    name = ""
    for line in response.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            found.append((name, json.loads(line.removeprefix("data: "))))
    return found


def test_every_predict_route_need_not_be_waited_for(client: httpx.Client) -> None:
    files = {"file": ("a.png", PNG)}
    answers = [
        client.post("/predict", json={"features": [1, 2]}, headers=ASYNC),
        client.post("/predict", files=files, headers=ASYNC),
        client.post("/models/adder/predict?version=7", json={"inputs": [[1]]}, headers=ASYNC),
        client.post("/models/colours/predict", files=files, headers=ASYNC),
        client.post("/process-image?threshold=0.3", files=files, headers=ASYNC),
    ]
    models = ["adder", "colours", "adder", "colours", "blobs"]
    for answer, model in zip(answers, models, strict=True):
        assert answer.status_code == 202, answer.text
        assert answer.headers["Preference-Applied"] == "respond-async"
        assert answer.headers["Location"] == answer.json()["urls"]["get"]
        shown = client.get(answer.headers["Location"]).json()
        assert (shown["model"], shown["status"]) == (model, "starting")
    assert answers[2].json()["version"] == "7"
    key = {**ASYNC, "Idempotency-Key": str(uuid.uuid4())}
    twice = [client.post("/process-image", files=files, headers=key) for _ in range(2)]
    assert len({answer.json()["id"] for answer in twice}) == 1
    # What the route itself refuses is refused at once.
    cut = client.post("/process-image", files={"file": PNG[:-30]}, headers=ASYNC)
    assert cut.status_code == 422
    assert client.post("/predict", json={"nothing": 1}, headers=ASYNC).status_code == 422
    missing = client.post("/models/nobody/predict", json={"inputs": []}, headers=ASYNC)
    assert missing.status_code == 404


def test_canceled_before_it_began(client: httpx.Client) -> None:
    made = later(client).json()
    answer = client.post(made["urls"]["cancel"])
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["id"], body["status"]) == (made["id"], "canceled")
    assert body["error"]["code"] == "canceled" and body["completed_at"] is not None
    # Once more changes nothing.
    assert client.post(made["urls"]["cancel"]).json() == client.get(made["urls"]["get"]).json()
    task = client.get(f"/task/{made['id']}").json()
    assert (task["status"], task["result"], task["error"]["code"]) == ("failed", None, "canceled")


def test_what_was_made_at_once_cannot_be_canceled(client: httpx.Client) -> None:
    made = client.post("/predict", json={"features": [1, 2]}).headers["X-Prediction-ID"]
    answer = client.post(f"/predictions/{made}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "succeeded")
    assert client.get(f"/task/{made}").status_code == 404


@pytest.mark.parametrize("path", ["/predictions/{}", "/task/{}"])
def test_nobody_knows_it(client: httpx.Client, path: str) -> None:
    assert client.get(path.format(uuid.uuid4())).status_code == 404
    assert client.get(path.format("seven")).status_code == 422
    assert client.post(f"/predictions/{uuid.uuid4()}/cancel").status_code == 404


def test_jobs_of_other_kinds_are_no_predictions(client: httpx.Client, server: LocalServer) -> None:
    store = JobStore(server.app.state.settings)
    try:
        job, _ = store.submit(NewWork(TRAINING, TRAIN, "tabular"))
    finally:
        store.close()
    assert client.get(f"/predictions/{job.id}").status_code == 404
    assert client.post(f"/predictions/{job.id}/cancel").status_code == 404
    assert job.id not in client.get("/predictions?status=starting&limit=200").text
    assert client.get(f"/task/{job.id}").json()["status"] == "processing"


def test_no_feedback_before_it_is_made(client: httpx.Client) -> None:
    own = later(client).json()["urls"]["get"]
    answer = client.post(f"{own}/feedback", json={"value": True})
    assert answer.status_code == 409, answer.text


def test_those_that_wait_are_listed(client: httpx.Client) -> None:
    ids = [later(client, {"features": [number]}).json()["id"] for number in range(5)]
    seen: list[str] = []
    path: str | None = "/predictions?status=starting&model=adder&limit=2"
    while path is not None:
        page = client.get(path).json()
        assert len(page["predictions"]) <= 2
        seen += [one["id"] for one in page["predictions"]]
        if len(seen) == 2:
            # What comes in between is newer than the page, and moves nothing.
            later(client)
        path = page["next"]
    assert seen[:5] == ids[::-1]
    assert len(set(seen)) == len(seen)
    first = client.get("/predictions?status=starting&limit=1").json()["predictions"][0]
    assert (first["status"], first["mode"], first["completed_at"]) == ("starting", "async", None)
    for narrow in ("status=processing", "status=expired", "status=starting&version=3",
                   "status=starting&mode=sync", "status=starting&until=1h"):  # fmt: skip
        assert client.get(f"/predictions?{narrow}").json()["predictions"] == []
    client.post(f"/predictions/{ids[0]}/cancel")
    left = client.get("/predictions?status=starting&model=adder&limit=200").json()
    assert ids[0] not in {one["id"] for one in left["predictions"]}


def test_a_stream_ends_with_its_job(client: httpx.Client) -> None:
    made = later(client).json()
    timer = threading.Timer(0.5, lambda: client.post(made["urls"]["cancel"]))
    timer.start()
    accept = {"Accept": "text/event-stream"}
    with client.stream("GET", made["urls"]["stream"], headers=accept) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        found = events(stream)
    timer.join()
    assert found[0][0] == "status" and found[0][1]["status"] == "starting"
    assert found[-1][0] == "completed" and found[-1][1]["status"] == "canceled"
    assert [name for name, _ in found].count("completed") == 1
    # Whoever comes late is told the end.
    with client.stream("GET", made["urls"]["stream"], headers=accept) as stream:
        assert [name for name, _ in events(stream)] == ["completed"]


def test_a_stream_of_what_was_made_at_once(client: httpx.Client) -> None:
    made = client.post("/predict", json={"features": [1, 2]}).headers["X-Prediction-ID"]
    accept = {"Accept": "text/event-stream"}
    with client.stream("GET", f"/predictions/{made}", headers=accept) as stream:
        ((name, body),) = events(stream)
    assert (name, body["output"]) == ("completed", {"predictions": [3.0]})


def test_streams_are_bounded(
    client: httpx.Client, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "MOST_STREAMS", 2)
    monkeypatch.setattr(sse, "HEARTBEAT", 1.0)
    made = later(client).json()
    accept = {"Accept": "text/event-stream"}
    address = made["urls"]["stream"]
    with (
        client.stream("GET", address, headers=accept) as one,
        client.stream("GET", address, headers=accept) as two,
    ):
        lines = one.iter_lines(), two.iter_lines()
        assert all("retry:" in next(line) for line in lines)
        refused = client.get(address, headers=accept)
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) >= 1
        # Silence is broken now and then.
        assert any(line.startswith(":") for line in lines[0])
    # Whoever leaves makes room.
    until = time.monotonic() + PATIENCE
    while server.app.state.event_streams:
        assert time.monotonic() < until
        time.sleep(0.05)
    client.post(made["urls"]["cancel"])
    assert client.get(address, headers=accept).status_code == 200
