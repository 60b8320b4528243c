"""What may be asked to be trained, and what becomes of it at the door."""

from typing import Any

import httpx
import pytest

from services.core.ids import new_id
from services.jobs.payloads import pack_output
from services.ledger.database.job_rows import QUEUED, SUCCEEDED
from tests.gateway.training.worker import BODY, RESULT, Worker, accepted
from tests.support.jobs_stand import Stand


def test_the_documents_request_is_accepted(client: httpx.Client, stand: Stand) -> None:
    answer = client.post("/train", json=BODY, headers={"X-API-Key": "mlops-secret-key-123"})
    assert answer.status_code == 202
    body = answer.json()
    job = stand.job(body["id"])
    assert {k: body[k] for k in ("message", "job_id", "experiment_name", "status")} == {
        "message": "Training job accepted and queued",
        "job_id": f"job_{job.number:06d}",
        "experiment_name": "MNIST_Experiments",
        "status": "running",
    }
    assert answer.headers["Location"] == body["urls"]["get"] == f"/train/status/{body['job_id']}"
    assert (job.queue, job.task, job.subject, job.state) == ("training", "train", "digits", QUEUED)
    assert job.options["params"] == BODY
    assert job.options["register"] is True


def test_a_sweep_is_a_training_too(client: httpx.Client, stand: Stand, worker: Worker) -> None:
    answer = client.post(
        "/sweep",
        json={"family": "digits", "runs": 3, "parallel": 2, "fixed": {"epochs": 1}, "seed": 5},
    )
    assert answer.status_code == 202, answer.text
    body = answer.json()
    job = worker.take(body["id"])
    assert job.options["search"] == {"runs": 3, "sampler": "random", "parallel": 2}
    assert job.options["params"] == {"epochs": 1}
    trials = [{"number": 1, "params": {"learning_rate": 0.1}, "metrics": {"accuracy": 0.5}}]
    packed = pack_output(None, {"trials": trials}, stand.blobs, 16_384)
    worker.end(job, SUCCEEDED, result={**RESULT, "output": packed})
    shown = client.get(body["urls"]["get"]).json()
    assert (shown["task"], shown["result"]["trials"]) == ("sweep", trials)


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("/train", {"epochs": 0}, "epochs"),
        ("/train", {"epochs": "ten"}, "epochs"),
        ("/train", {"params": {"batch_size": 4096}}, "batch_size"),
        ("/train", {"epoch": 3}, "epoch"),
        ("/train", {"epochs": 3, "params": {"epochs": 3}}, "epochs"),
        ("/train", {"family": "cutler"}, "family"),
        ("/train", {"family": "sentiment", "encoder": "/etc"}, "encoder"),
        ("/train", {"stage": "moon"}, "stage"),
        ("/train", {"register_model": False, "stage": "staging"}, "register_model"),
        ("/train", {"seed": -1}, "seed"),
        ("/train", {"ttl": 1e9}, "ttl"),
        ("/train", {"run_name": "a\u0000b"}, "run_name"),
        ("/train", {"webhook": "ftp://x", "epochs": 1}, "webhook"),
        ("/sweep", {"runs": 0}, "runs"),
        ("/sweep", {"parallel": 65}, "parallel"),
        ("/sweep", {"sampler": "luck"}, "sampler"),
        ("/sweep", {"fixed": {"epochs": 0}}, "epochs"),
        ("/sweep", {"fixed": {"learning_rate": 1e-3, "batch_size": 8, "hidden_size": 8}}, "fixed"),
        ("/train_model", {"model": "gpt"}, "model"),
    ],
)
def test_what_is_not_accepted_is_named(
    client: httpx.Client, path: str, body: Any, where: str
) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["where"] == where


def test_limits_are_told(client: httpx.Client) -> None:
    error = client.post("/train", json={"epochs": 500}).json()["error"]
    assert error["expected"] == "a whole number from 1 to 200"


def test_one_key_is_one_training(client: httpx.Client) -> None:
    key = {"Idempotency-Key": new_id()}
    first, again = (client.post("/train", json=BODY, headers=key) for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert client.post("/train", json={"epochs": 3}, headers=key).status_code == 409


def test_a_queued_training_is_canceled_at_once(client: httpx.Client) -> None:
    body = accepted(client)
    answer = client.post(body["urls"]["cancel"])
    assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
    again = client.post(f"/train/{body['id']}/cancel")
    assert again.json()["status"] == "canceled"


@pytest.mark.parametrize("name", ["job_999999999", "00000000-0000-7000-8000-000000000000"])
def test_what_is_not_there_is_404(client: httpx.Client, name: str) -> None:
    for answer in (client.get(f"/train/status/{name}"), client.post(f"/train/{name}/cancel")):
        assert answer.status_code == 404


@pytest.mark.parametrize("name", ["job_", "job_12x", "nothing", "job_" + "9" * 30])
def test_what_is_no_name_is_422(client: httpx.Client, name: str) -> None:
    answer = client.get(f"/train/status/{name}")
    assert (answer.status_code, answer.json()["error"]["where"]) == (422, "job_id")


def test_other_jobs_are_no_trainings(client: httpx.Client, stand: Stand) -> None:
    other = stand.job(stand.add({"echo": 1}))
    for name in (other.id, f"job_{other.number:06d}"):
        assert client.get(f"/train/status/{name}").status_code == 404
