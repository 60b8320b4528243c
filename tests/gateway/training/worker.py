"""What a worker writes about a training, for tests of the door."""

import time
from typing import Any

import httpx

from services.jobs import results
from services.jobs.notices import Notices
from services.jobs.payloads import pack_output
from services.ledger.database import jobs
from services.ledger.database.job_rows import RUNNING, SUCCEEDED, Job
from tests.support.jobs_stand import Stand

BODY = {"learning_rate": 0.001, "epochs": 10, "batch_size": 64, "hidden_size": 128}
RESULT = {
    "name": "MNISTClassifier", "version": "3", "stage": None, "run_id": "r1", "link": None,
    "metrics": {"accuracy": 0.97}, "experiment": "MNIST_Experiments",
}  # fmt: skip
HISTORY = [{"epoch": 1, "metrics": {"loss": 0.5}}, {"epoch": 2, "metrics": {"loss": 0.25}}]
PROGRESS = {
    "phase": "training", "attempt": 1, "epoch": 2, "total": 10, "fraction": 0.2,
    "metrics": {"loss": 0.25}, "run_id": "r1", "run_url": "http://mlflow/r1", "history": HISTORY,
}  # fmt: skip


class Worker:
    """Writes what a worker would: through the same functions, with a lease of its own."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand

    def take(self, id: str) -> Job:
        now = int(time.time() * 1e6)
        with self._stand.database.begin() as connection:
            (job,) = jobs.take(connection, id, "w", now, now + 60_000_000)
            return job

    def progress(self, job: Job, progress: Any) -> None:
        until = int((time.time() + 60) * 1e6)
        with self._stand.database.begin() as connection:
            assert jobs.renew(connection, job.id, job.token, until, progress)
        notices = Notices(self._stand.settings)
        notices.tell(job.id, "progress", progress, RUNNING)
        notices.close()

    def end(self, job: Job, state: int, **values: Any) -> None:
        now = int(time.time() * 1e6)
        with self._stand.database.begin() as connection:
            assert results.end(connection, job, state, now=now, **values)

    def succeed(self, job: Job, result: dict[str, Any] = RESULT) -> None:
        output = pack_output(None, {"history": HISTORY}, self._stand.blobs, 16_384)
        self.end(job, SUCCEEDED, result={**result, "output": output})


def accepted(client: httpx.Client, **body: Any) -> dict[str, Any]:
    answer = client.post("/train", json=body or BODY)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())
