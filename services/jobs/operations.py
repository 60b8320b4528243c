"""What people ask of jobs, each in one transaction: for the desk and for the command line."""

from dataclasses import dataclass

from services.core.errors import ConflictError, NotFoundError
from services.jobs import results
from services.ledger.database import job_upkeep, jobs, workers
from services.ledger.database.job_rows import PREDICT, QUEUED, STATE_NAMES, Job
from services.ledger.database.statements import Connection

# The rate of a queue is that of the jobs that ended within so many seconds.
_RECENT = 300
_FEWEST = 2
# A worker says that it is there every few seconds; older than this it counts as gone.
WORKER_SECONDS = 30
_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Position:
    """Where a job stands.

    Attributes:
        ahead: jobs of its queue that wait before it.
        seconds: until it is begun, estimated from how the queue went lately; None: nobody knows.
    """

    ahead: int
    seconds: float | None


def get(connection: Connection, id: str) -> Job:
    """Return a job.

    Raises:
        NotFoundError: there is no such job (any more).
    """
    found = jobs.get(connection, id)
    if found is None:
        raise NotFoundError(
            "There is no such job here (any more).", where="id", expected="the id of a job"
        )
    return found


def cancel(connection: Connection, id: str, now: int) -> Job:
    """Cancel a job: at once if nobody has begun it, else its worker is told.

    Raises:
        NotFoundError: there is no such job.
    """
    ended = jobs.cancel_queued(connection, id, now)
    if ended is not None:
        results.ended(connection, [ended], now)
        return ended
    found = jobs.cancel(connection, id, now)
    return get(connection, id) if found is None else found


def again(connection: Connection, id: str, now: int, ttl: float) -> Job:
    """Queue a job once more that was given up, failed, expired or was canceled.

    Args:
        ttl: seconds after which nobody begins it any more.

    Raises:
        NotFoundError: there is no such job.
        ConflictError: it is under way, or has succeeded.
    """
    queued = jobs.again(connection, id, now, now + round(ttl * _MICROSECONDS))
    if queued is not None:
        return queued
    found = get(connection, id)
    if found.task == PREDICT and found.ended:
        raise ConflictError(
            "This prediction was answered, or begun and canceled: that is on record.",
            where="id",
            expected="a new prediction, which has an id of its own",
        )
    raise ConflictError(
        f"This job is {STATE_NAMES[found.state]}.",
        where="id",
        expected="a job that was given up, failed, expired or was canceled",
    )


def position(connection: Connection, job: Job, now: int) -> Position:
    """Return where a job stands in its queue; one that has begun is at its head."""
    if job.state != QUEUED:
        return Position(0, 0.0)
    ahead = job_upkeep.ahead(connection, job.queue, job.number)
    ended, first = job_upkeep.ended_since(connection, job.queue, now - _RECENT * _MICROSECONDS)
    present = workers.present(connection, now - WORKER_SECONDS * _MICROSECONDS)
    at_work = any(worker.queue == job.queue for worker in present)
    if not at_work or ended < _FEWEST or first is None or first >= now:
        return Position(ahead, None)
    each = (now - first) / _MICROSECONDS / ended
    return Position(ahead, round((ahead + 1) * each, 3))
