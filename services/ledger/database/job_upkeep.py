"""What happens to jobs without anybody's asking: leases run out, messages get lost, time passes."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, delete, func, select, text, update

from services.ledger.database.statements import pieces
from services.ledger.database.tables import (
    CANCELED,
    DEAD,
    EXPIRED,
    OPEN_JOB,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    jobs,
)

MOST_ATTEMPTS = 3
_OPEN = text(OPEN_JOB)
_LOST = {
    "code": "worker_lost",
    "message": f"The worker died or stood still, {MOST_ATTEMPTS} times.",
}
_LATE = {"code": "expired", "message": "Nobody had begun it when its time was over."}


@dataclass(frozen=True, slots=True)
class Upkeep:
    """How many jobs were queued again, given up, canceled, expired, and are to be published again.

    Attributes:
        requeued: their lease had run out.
        dead: the same, once too often.
        canceled: they were to be, when their worker went.
        stale: about which a message went out long ago, and which nobody has taken.
    """

    requeued: int = 0
    dead: int = 0
    canceled: int = 0
    expired: int = 0
    stale: int = 0


@dataclass(frozen=True, slots=True)
class Depth:
    """A queue: jobs that wait, those under way, and when the oldest that waits came."""

    queue: str
    waiting: int
    running: int
    oldest: int | None


def reconcile(connection: Connection, now: int, stale_before: int) -> Upkeep:
    """Set right what no process will: see `Upkeep`.

    Args:
        stale_before: messages about queued jobs that are older count as lost.
    """
    over = and_(jobs.c.state == RUNNING, jobs.c.leased_until < now)
    ended = {"completed": now, "worker": None, "leased_until": None}
    canceled = _change(connection, and_(over, jobs.c.cancel.is_(True)), state=CANCELED, **ended)
    spent = and_(over, jobs.c.attempts >= MOST_ATTEMPTS)
    dead = _change(connection, spent, state=DEAD, error=_LOST, **ended)
    requeued = _change(
        connection, over, state=QUEUED, published=None, worker=None, leased_until=None
    )
    waiting = jobs.c.state == QUEUED
    late = and_(waiting, jobs.c.expires <= now)
    expired = _change(connection, late, state=EXPIRED, error=_LATE, completed=now)
    stale = _change(connection, and_(waiting, jobs.c.published < stale_before), published=None)
    return Upkeep(requeued, dead, canceled, expired, stale)


def depths(connection: Connection) -> list[Depth]:
    """Return every queue in which something is to be done."""
    waiting = jobs.c.state == QUEUED
    rows = connection.execute(
        select(
            jobs.c.queue,
            func.sum(case((waiting, 1), else_=0)),
            func.sum(case((waiting, 0), else_=1)),
            func.min(case((waiting, jobs.c.created), else_=None)),
        )
        .where(_OPEN)
        .group_by(jobs.c.queue)
        .order_by(jobs.c.queue)
    )
    return [Depth(queue, int(some), int(more), oldest) for queue, some, more, oldest in rows]


def ahead(connection: Connection, queue: str, number: int) -> int:
    """Return how many jobs of a queue wait before the one of this number."""
    wanted = and_(_OPEN, jobs.c.queue == queue, jobs.c.state == QUEUED, jobs.c.number < number)
    return int(connection.scalar(select(func.count()).where(wanted)) or 0)


def forget(connection: Connection, before: int, limit: int) -> list[str]:
    """Delete at most `limit` jobs that ended before that time; return their ids."""
    ended = and_(jobs.c.state >= SUCCEEDED, jobs.c.completed < before)
    found = list(connection.scalars(select(jobs.c.id).where(ended).limit(limit)))
    for piece in pieces(found):
        connection.execute(delete(jobs).where(jobs.c.id.in_(piece)))
    return found


def payloads(connection: Connection, names: list[str]) -> set[str]:
    """Return those of the blobs that a job still names."""
    found: set[str] = set()
    for piece in pieces(names):
        found.update(connection.scalars(select(jobs.c.payload).where(jobs.c.payload.in_(piece))))
    return found


def _change(connection: Connection, wanted: ColumnElement[bool], **values: Any) -> int:
    return connection.execute(update(jobs).where(_OPEN, wanted).values(**values)).rowcount
