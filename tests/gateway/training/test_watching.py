"""How trainings are seen: one, all of them, as a stream, and by those who wait."""

import json
import threading
import time
from typing import Any

import httpx
import pytest

from services.core.ids import new_id
from services.ledger.database.job_rows import (
    CANCELED,
    DEAD,
    JOB_FAILED,
)
from tests.gateway.training.worker import HISTORY, PROGRESS, RESULT, Worker, accepted
from tests.support.jobs_stand import Stand
from tests.support.patience import PATIENCE


def test_a_status_is_found_by_either_name(client: httpx.Client) -> None:
    body = accepted(client, family="ml_classifier", params={"model": "forest"}, seed=4)
    for name in (body["job_id"], body["id"], body["id"].upper()):
        shown = client.get(f"/train/status/{name}").json()
        assert (shown["id"], shown["family"], shown["seed"]) == (body["id"], "tabular", 4)
    assert (shown["status"], shown["state"], shown["attempts"]) == ("running", "starting", 0)
    assert shown["params"]["model"] == "forest"
    assert shown["position"]["ahead"] >= 0
    assert shown["result"] is None and shown["history"] == []


def test_progress_is_live_and_the_end_is_shown(client: httpx.Client, worker: Worker) -> None:
    body = accepted(client)
    job = worker.take(body["id"])
    worker.progress(job, PROGRESS)
    shown = client.get(body["urls"]["get"]).json()
    assert (shown["status"], shown["state"]) == ("running", "processing")
    assert shown["progress"] == {
        "phase": "training", "epoch": 2, "total": 10, "fraction": 0.2, "attempt": 1,
    }  # fmt: skip
    assert (shown["metrics"], shown["run_id"]) == ({"loss": 0.25}, "r1")
    assert (shown["history"], shown["run_url"]) == (HISTORY, "http://mlflow/r1")
    assert shown["position"] is None
    worker.succeed(job)
    shown = client.get(body["urls"]["get"]).json()
    assert (shown["status"], shown["state"], shown["version"]) == ("completed", "succeeded", "3")
    assert (shown["model_name"], shown["metrics"]) == ("MNISTClassifier", {"accuracy": 0.97})
    assert shown["result"] == RESULT
    assert shown["progress"]["fraction"] == 1.0
    assert shown["completed_at"] is not None


@pytest.mark.parametrize(
    ("state", "error", "status", "code"),
    [
        (JOB_FAILED, {"code": "training_failed", "message": "No."}, "failed", "training_failed"),
        (CANCELED, None, "canceled", "canceled"),
    ],
)
def test_other_ends_say_why(
    client: httpx.Client, worker: Worker, state: int, error: Any, status: str, code: str
) -> None:
    body = accepted(client)
    worker.end(worker.take(body["id"]), state, error=error)
    shown = client.get(body["urls"]["get"]).json()
    assert (shown["status"], shown["error"]["code"], shown["result"]) == (status, code, None)


def test_trainings_are_listed_newest_first_page_by_page(
    client: httpx.Client, worker: Worker
) -> None:
    made = [accepted(client, family="shapes", epochs=1)["id"] for _ in range(3)]
    dead = worker.take(made[0])
    worker.end(dead, DEAD, error={"code": "worker_lost", "message": "It died."})
    path: str | None = "/train/jobs?family=shapes&limit=2"
    pages = []
    while path is not None:
        page = client.get(path).json()
        assert page["total_count"] == 3
        pages.append([job["id"] for job in page["jobs"]])
        path = page["next"]
    assert pages == [[made[2], made[1]], [made[0]]]
    failed = client.get("/train/jobs?family=shapes&state=failed").json()
    assert [(job["id"], job["error"]["code"]) for job in failed["jobs"]] == [
        (made[0], "worker_lost")
    ]
    assert failed["total_count"] == 1
    assert client.get("/train/jobs?limit=0").status_code == 422


def test_a_stream_tells_of_progress_and_ends(client: httpx.Client, worker: Worker) -> None:
    body = accepted(client)
    job = worker.take(body["id"])

    def work() -> None:
        try:
            time.sleep(0.3)
            worker.progress(job, PROGRESS)
            time.sleep(0.3)
        finally:
            # Or the stream would never end.
            worker.succeed(job)

    thread = threading.Thread(target=work)
    thread.start()
    events = []
    try:
        with client.stream(
            "GET", body["urls"]["stream"], headers={"Accept": "text/event-stream"}
        ) as answer:
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            name = ""
            for line in answer.iter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                if line.startswith("data: "):
                    events.append((name, json.loads(line.removeprefix("data: "))))
    finally:
        thread.join()
    names = [name for name, _ in events]
    assert names[0] == "status" and names[-1] == "completed" and "progress" in names
    assert events[-1][1]["status"] == "completed"
    assert events[-1][1]["result"] == RESULT


def test_who_waits_is_answered_when_it_is_done(
    client: httpx.Client, stand: Stand, worker: Worker
) -> None:
    before = client.get("/train/jobs?family=sentiment").json()["total_count"]

    def work() -> None:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            found = client.get("/train/jobs?family=sentiment").json()
            if found["total_count"] > before:
                worker.succeed(
                    worker.take(found["jobs"][0]["id"]),
                    {**RESULT, "name": "sentiment-analysis-tfidf"},
                )
                return
            time.sleep(0.02)

    thread = threading.Thread(target=work)
    thread.start()
    answer = client.post("/train_model")
    thread.join()
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["message"] == "Model training completed successfully!"
    assert (body["model"], body["version"]) == ("sentiment-analysis-tfidf", "3")


def test_who_waits_too_long_is_told_where_to_look(client: httpx.Client, stand: Stand) -> None:
    answer = client.post("/train_model", json={"model": "bert"})
    assert answer.status_code == 202
    body = answer.json()
    assert stand.job(body["id"]).options["params"]["kind"] == "bert"
    assert answer.headers["Location"] == f"/train/status/{body['job_id']}"


def test_a_training_that_failed_is_an_error(client: httpx.Client, worker: Worker) -> None:
    key = {"Idempotency-Key": new_id()}
    body = client.post("/train_model", headers=key).json()
    worker.end(worker.take(body["id"]), JOB_FAILED, error={"code": "x", "message": "No data."})
    answer = client.post("/train_model", headers=key)
    assert answer.status_code == 500
    error = answer.json()["error"]
    assert error["code"] == "training_failed"
    assert "No data." in error["message"] and body["job_id"] in error["message"]
