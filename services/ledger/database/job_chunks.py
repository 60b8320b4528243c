"""Finished pieces of batch jobs: each is added once, by whoever holds the job, and stays."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, case, func, select, update

from services.ledger.database.job_rows import MOST_ATTEMPTS, RUNNING
from services.ledger.database.job_tables import job_chunks, jobs

_LAST_BUT_ONE = MOST_ATTEMPTS - 1


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a batch job: the items behind those of the chunks before it.

    Attributes:
        number: 0, 1, 2, … without gaps.
        ref: the blob with one line for each item.
    """

    number: int
    ref: str
    succeeded: int
    failed: int

    @property
    def items(self) -> int:
        """How many it has."""
        return self.succeeded + self.failed


def add(connection: Connection, job: str, token: int, chunk: Chunk, progress: Any) -> bool:
    """Add the next chunk of a job; False, and nothing is written, where the lease was lost.

    A finished chunk shows that the job does not kill its workers: only the attempts since then
    count.
    """
    held = connection.execute(
        update(jobs)
        .where(jobs.c.id == job, jobs.c.state == RUNNING, jobs.c.token == token)
        .values(progress=progress, attempts=1)
    )
    if not held.rowcount:
        return False
    connection.execute(
        job_chunks.insert().values(
            job=job,
            chunk=chunk.number,
            ref=chunk.ref,
            succeeded=chunk.succeeded,
            failed=chunk.failed,
        )
    )
    return True


def suspect(connection: Connection, job: str, token: int, progress: Any) -> bool:
    """Note in a job's progress which item is about to be tried alone; False: the lease was lost.

    Should the worker die of it, the job is not given up before that item is.
    """
    held = connection.execute(
        update(jobs)
        .where(jobs.c.id == job, jobs.c.state == RUNNING, jobs.c.token == token)
        .values(
            progress=progress,
            attempts=case((jobs.c.attempts < MOST_ATTEMPTS, jobs.c.attempts), else_=_LAST_BUT_ONE),
        )
    )
    return bool(held.rowcount)


def every(connection: Connection, job: str) -> list[Chunk]:
    """Return the chunks of a job, in order."""
    columns = job_chunks.c
    rows = connection.execute(
        select(columns.chunk, columns.ref, columns.succeeded, columns.failed)
        .where(columns.job == job)
        .order_by(columns.chunk)
    )
    return [Chunk(*row) for row in rows]


def counts(connection: Connection, job: str) -> tuple[int, int]:
    """Return how many items of a job succeeded and failed so far."""
    columns = job_chunks.c
    row = connection.execute(
        select(func.sum(columns.succeeded), func.sum(columns.failed)).where(columns.job == job)
    ).one()
    return int(row[0] or 0), int(row[1] or 0)
