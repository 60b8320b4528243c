"""Jobs, workers and checks as rows, for tests that look at them."""

import time

from sqlalchemy import Connection, update

from services.core.ids import new_id
from services.jobs.names import INTERACTIVE, PREDICT
from services.ledger.database import job_adding, workers
from services.ledger.database.job_rows import Job, NewJob
from services.ledger.database.job_tables import jobs
from services.ledger.database.workers import Worker


def add(
    connection: Connection, queue: str = INTERACTIVE, task: str = PREDICT, **values: object
) -> Job:
    """Add a job; `values` are columns that are changed in its row afterwards."""
    id = new_id()
    new = NewJob(
        id=id, queue=queue, task=task, subject="digits", fingerprint="0" * 64,
        options={}, created=round(time.time() * 1e6),
    )  # fmt: skip
    job, _ = job_adding.add(connection, new)
    if values:
        connection.execute(update(jobs).where(jobs.c.id == id).values(**values))
    return job


def worker(connection: Connection, queue: str, ago: float = 0.0, running: int = 0) -> None:
    """Note that a worker was there so many seconds ago."""
    now = round((time.time() - ago) * 1e6)
    found = Worker(f"{queue}@here-{new_id()}", queue, "here", 42, now, now, running)
    workers.seen(connection, found)
