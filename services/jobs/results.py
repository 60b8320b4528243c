"""How a job ends: result, records, webhooks and counters in one transaction, or none of them.

Counters (`job_totals.read`), each with the queue's name behind it: `jobs_succeeded_`,
`jobs_failed_`, `jobs_canceled_`, `jobs_expired_` and `jobs_dead_` count jobs by how they ended;
`job_timed_` those of them that were begun, `job_micros_` adds up their time from begin to end, and
`job_wait_micros_` that from acceptance to begin, in microseconds; `job_attempts_` counts how often
jobs were begun, `job_retries_` those begun again after their worker was lost. `lease_losses` counts
results that came too late.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from services.jobs.payloads import ref_of
from services.jobs.views import job_view
from services.ledger.database import deliveries, job_records, job_totals, jobs
from services.ledger.database.job_records import NewRecord
from services.ledger.database.job_rows import STATE_NAMES, Job
from services.ledger.database.jobs import Finish
from services.ledger.database.statements import Connection

START, PROGRESS, COMPLETED = "start", "progress", "completed"
# Told to the worker only.
CANCEL = "cancel"
LEASE_LOSSES = "lease_losses"
_NOBODY = "upkeep"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a job that is held ends.

    Attributes:
        job: as it was taken.
        state: `SUCCEEDED`, `JOB_FAILED` or `CANCELED`.
        records: of its predictions, as `job_records.add` takes them.
    """

    job: Job
    state: int
    result: Any = None
    error: dict[str, Any] | None = None
    records: Sequence[NewRecord] = ()


def end(
    connection: Connection,
    job: Job,
    state: int,
    *,
    result: Any = None,
    error: dict[str, Any] | None = None,
    records: Sequence[NewRecord] = (),
    now: int,
) -> bool:
    """End a job; return False when its lease was lost: then nothing of it is written."""
    return end_many(connection, [Ending(job, state, result, error, records)], now)[0]


def end_many(connection: Connection, endings: Sequence[Ending], now: int) -> list[bool]:
    """End jobs that were done together; return for each what `end` does."""
    ends = [
        Finish(one.job.id, one.job.token, one.state, one.result, ref_of(one.result), one.error)
        for one in endings
    ]
    held = jobs.finish_all(connection, ends, now)
    done: list[Job] = []
    records: list[NewRecord] = []
    for one, finish, still in zip(endings, ends, held, strict=True):
        if still:
            done.append(
                replace(
                    one.job, state=one.state, completed=now, result=one.result,
                    result_ref=finish.result_ref, error=one.error, leased_until=None,
                )
            )  # fmt: skip
            records += one.records
    job_records.add(connection, records)
    ended(connection, done, now, lost=held.count(False))
    return held


def ended(connection: Connection, done: Iterable[Job], now: int, lost: int = 0) -> None:
    """Note the webhooks and count, for jobs that have just ended; in the same transaction."""
    counted: Counter[str] = Counter({LEASE_LOSSES: lost})
    by = _NOBODY
    for job in done:
        by = job.worker or by
        webhook(connection, job, COMPLETED, now)
        counted[f"jobs_{STATE_NAMES[job.state]}_{job.queue}"] += 1
        counted[f"job_attempts_{job.queue}"] += job.attempts
        if job.started is not None and job.completed is not None:
            counted[f"job_timed_{job.queue}"] += 1
            counted[f"job_micros_{job.queue}"] += max(0, job.completed - job.started)
            counted[f"job_wait_micros_{job.queue}"] += max(0, job.started - job.created)
    job_totals.count(connection, counted, by)


def requeued(connection: Connection, again: Iterable[Job]) -> None:
    """Count jobs whose worker was lost, and which will be begun again."""
    counted = Counter(f"job_retries_{job.queue}" for job in again)
    job_totals.count(connection, counted, _NOBODY)


def lost(connection: Connection, job: Job) -> None:
    """Count a lease that was lost."""
    job_totals.count(connection, {LEASE_LOSSES: 1}, job.worker or _NOBODY)


def webhook(connection: Connection, job: Job, event: str, now: int) -> bool:
    """Note that a job's webhook is to be told, if it wants to hear of that; return whether so.

    Args:
        event: `start`, `progress` or `completed`.
    """
    wanted = job.webhook
    if wanted is None or event not in wanted.get("events", ()):
        return False
    body = orjson.dumps(job_view(job)).decode()
    deliveries.add(connection, job.id, event, str(wanted["url"]), body, now)
    return True
