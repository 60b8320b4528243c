"""What happens to jobs without anybody's asking: leases run out, messages get lost, time passes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    delete,
    func,
    or_,
    select,
    text,
    update,
)

from services.ledger.database.job_rows import (
    CANCELED,
    DEAD,
    DEAD_JOB,
    ENDED_JOB,
    EXPIRED,
    MOST_ATTEMPTS,
    OPEN_JOB,
    QUEUED,
    RUNNING,
    UNPUBLISHED_JOB,
    Job,
)
from services.ledger.database.job_tables import deliveries, job_chunks, jobs
from services.ledger.database.statements import pieces

_OPEN, _ENDED, _UNPUBLISHED = text(OPEN_JOB), text(ENDED_JOB), text(UNPUBLISHED_JOB)
_LOST = {
    "code": "worker_lost",
    "message": f"The worker died or stood still, {MOST_ATTEMPTS} times.",
}
_LATE = {"code": "expired", "message": "Nobody had begun it when its time was over."}
# Of ended jobs that `ended_since` looks at.
_LOOK = 2000


@dataclass(frozen=True, slots=True)
class Upkeep:
    """How many jobs were queued again, given up, canceled and expired.

    Attributes:
        requeued: their lease had run out.
        dead: the same, once too often.
        canceled: they were to be, when their worker went.
        ended: those of them that are done with.
    """

    requeued: int = 0
    dead: int = 0
    canceled: int = 0
    expired: int = 0
    ended: tuple[Job, ...] = field(default=(), compare=False)
    queued: tuple[Job, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Depth:
    """A queue: jobs that wait, those under way, and when the oldest that waits came.

    Attributes:
        unpublished: of those that wait, about which no message is on its way.
    """

    queue: str
    waiting: int
    running: int
    oldest: int | None
    unpublished: int = 0


def due(connection: Connection, now: int) -> bool:
    """Whether `reconcile` has anything to do; only reads."""
    wanted = select(jobs.c.number).where(_OPEN, or_(_over(now), _late(now), _given_back())).limit(1)
    return connection.scalar(wanted) is not None


def reconcile(connection: Connection, now: int, limit: int = 1000) -> Upkeep:
    """Set right what no process will, of at most `limit` jobs for each reason: see `Upkeep`."""
    over, released = _over(now), {"worker": None, "leased_until": None}
    ended = {"completed": now, **released}
    canceled = _change(
        connection, or_(and_(over, jobs.c.cancel.is_(True)), _given_back()), limit,
        state=CANCELED, **ended,
    )  # fmt: skip
    spent = and_(over, jobs.c.attempts >= MOST_ATTEMPTS)
    dead = _change(connection, spent, limit, state=DEAD, error=_LOST, **ended)
    again = and_(over, jobs.c.attempts < MOST_ATTEMPTS, jobs.c.cancel.is_(False))
    requeued = _change(connection, again, limit, state=QUEUED, published=None, **released)
    expired = _change(connection, _late(now), limit, state=EXPIRED, error=_LATE, completed=now)
    return Upkeep(
        len(requeued), len(dead), len(canceled), len(expired),
        (*canceled, *dead, *expired), tuple(requeued),
    )  # fmt: skip


def depths(connection: Connection) -> list[Depth]:
    """Return every queue in which something is to be done."""
    waiting = jobs.c.state == QUEUED
    unheard = and_(waiting, jobs.c.published.is_(None))
    rows = connection.execute(
        select(
            jobs.c.queue,
            func.sum(case((waiting, 1), else_=0)),
            func.sum(case((waiting, 0), else_=1)),
            func.min(case((waiting, jobs.c.created), else_=None)),
            func.sum(case((unheard, 1), else_=0)),
        )
        .where(_OPEN)
        .group_by(jobs.c.queue)
        .order_by(jobs.c.queue)
    )
    return [Depth(row[0], int(row[1]), int(row[2]), row[3], int(row[4])) for row in rows]


def waiting(connection: Connection) -> dict[str, int]:
    """Return how many jobs wait in each queue, read from an index alone."""
    rows = connection.execute(
        select(jobs.c.queue, func.count())
        .where(_OPEN, jobs.c.state == QUEUED)
        .group_by(jobs.c.queue)
    )
    return {row[0]: int(row[1]) for row in rows}


def unpublished_count(connection: Connection) -> int:
    """Return about how many queued jobs no message is on its way."""
    return connection.scalar(select(func.count()).select_from(jobs).where(_UNPUBLISHED)) or 0


def unheard(connection: Connection, before: int) -> dict[str, int]:
    """Return how many jobs of each queue wait though a message went out before that time."""
    rows = connection.execute(
        select(jobs.c.queue, func.count())
        .where(_OPEN, jobs.c.state == QUEUED, jobs.c.published < before)
        .group_by(jobs.c.queue)
    )
    return {row[0]: int(row[1]) for row in rows}


def begun(connection: Connection) -> dict[str, int]:
    """Return for each queue when the last message went out about one that is under way."""
    rows = connection.execute(
        select(jobs.c.queue, func.max(jobs.c.published))
        .where(_OPEN, jobs.c.state == RUNNING, jobs.c.published.is_not(None))
        .group_by(jobs.c.queue)
    )
    return {row[0]: int(row[1]) for row in rows}


def unpublish(connection: Connection, queue: str, before: int, limit: int) -> int:
    """Take messages of a queue that went out before that time for lost; return how many."""
    lost = and_(jobs.c.queue == queue, jobs.c.state == QUEUED, jobs.c.published < before)
    return len(_change(connection, lost, limit, published=None))


def dead_letters(connection: Connection) -> dict[str, int]:
    """Return how many jobs of each queue were given up, and are still there."""
    rows = connection.execute(
        select(jobs.c.queue, func.count()).where(text(DEAD_JOB)).group_by(jobs.c.queue)
    )
    return {row[0]: int(row[1]) for row in rows}


def ahead(connection: Connection, queue: str, number: int) -> int:
    """Return how many jobs of a queue wait before the one of this number."""
    wanted = and_(_OPEN, jobs.c.queue == queue, jobs.c.state == QUEUED, jobs.c.number < number)
    return int(connection.scalar(select(func.count()).where(wanted)) or 0)


def ended_since(connection: Connection, queue: str, since: int) -> tuple[int, int | None]:
    """Return how many jobs of a queue ended since then (of the last 2000), and the first's time."""
    last = (
        select(jobs.c.completed, jobs.c.queue)
        .where(_ENDED, jobs.c.completed >= since, jobs.c.started.is_not(None))
        .order_by(jobs.c.completed.desc())
        .limit(_LOOK)
        .subquery()
    )
    row = connection.execute(
        select(func.count(), func.min(last.c.completed)).where(last.c.queue == queue)
    ).one()
    return int(row[0]), row[1]


def forget(connection: Connection, before: int, limit: int) -> list[str]:
    """Delete at most `limit` jobs that ended before that time, and what is theirs; return ids."""
    ended = and_(_ENDED, jobs.c.completed < before)
    found = list(
        connection.scalars(select(jobs.c.id).where(ended).order_by(jobs.c.completed).limit(limit))
    )
    for piece in pieces(found):
        connection.execute(delete(job_chunks).where(job_chunks.c.job.in_(piece)))
        connection.execute(delete(deliveries).where(deliveries.c.job.in_(piece)))
        connection.execute(delete(jobs).where(jobs.c.id.in_(piece)))
    return found


def named(connection: Connection, refs: Iterable[str]) -> set[str]:
    """Return those of the blobs that a job, its result or a piece of it still names."""
    found: set[str] = set()
    for piece in pieces(refs):
        for column in (jobs.c.payload, jobs.c.result_ref, job_chunks.c.ref):
            found.update(connection.scalars(select(column).where(column.in_(piece))))
    return found


def _over(now: int) -> ColumnElement[bool]:
    return and_(jobs.c.state == RUNNING, jobs.c.leased_until < now)


def _late(now: int) -> ColumnElement[bool]:
    return and_(jobs.c.state == QUEUED, jobs.c.expires <= now)


def _given_back() -> ColumnElement[bool]:
    """A job that its worker gave back when it was to be canceled: nobody will take it."""
    return and_(jobs.c.state == QUEUED, jobs.c.cancel.is_(True))


def _change(
    connection: Connection, wanted: ColumnElement[bool], limit: int, **values: Any
) -> Sequence[Job]:
    """Change at most `limit` jobs, those that nobody else is changing; return them."""
    found = (
        select(jobs.c.number)
        .where(_OPEN, wanted)
        .order_by(jobs.c.number)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    numbers = list(connection.scalars(found))
    changed: list[Job] = []
    for piece in pieces(numbers):
        change = update(jobs).where(_OPEN, jobs.c.number.in_(piece), wanted).values(**values)
        rows = connection.execute(change.returning(jobs)).mappings()
        changed += [Job(**row) for row in rows]
    return sorted(changed, key=lambda job: job.number)
