"""Jobs as they stand in the database: accepted, leased, ended; each step in one transaction.

A worker holds a job by a lease with a fencing token: whatever it writes counts only while the
token is still the job's own, so that one that was paused, or cut off, changes nothing any more.
Times are microseconds since 1970 (UTC), by the clock of whoever calls.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    and_,
    bindparam,
    or_,
    select,
    text,
    update,
)

from services.ledger.database.job_rows import (
    CANCELED,
    DEAD,
    EXPIRED,
    JOB_FAILED,
    OPEN_JOB,
    PREDICT,
    QUEUED,
    RUNNING,
    UNPUBLISHED_JOB,
    Job,
)
from services.ledger.database.job_statements import ALIKE, GET, TAKE, TAKE_OTHERS
from services.ledger.database.job_tables import jobs
from services.ledger.database.statements import clean, pieces

_OPEN = text(OPEN_JOB)
# Jobs that `take` looks at beyond as many as it wants: some ask for another version.
_LOOK = 50
_RETRIED = (DEAD, JOB_FAILED, CANCELED, EXPIRED)


@dataclass(frozen=True, slots=True)
class Finish:
    """How a job ends, by whoever holds it: see `finish`."""

    id: str
    token: int
    state: int
    result: Any = None
    result_ref: str | None = None
    error: dict[str, Any] | None = None


def get(connection: Connection, id: str) -> Job | None:
    """Return a job, or None."""
    found = _jobs(connection, GET, {"wanted": id})
    return found[0] if found else None


def get_all(connection: Connection, ids: Iterable[str]) -> dict[str, Job]:
    """Return jobs by their ids; those that are not there any more are left out."""
    found: dict[str, Job] = {}
    for piece in pieces(ids):
        rows = _jobs(connection, select(jobs).where(jobs.c.id.in_(piece)), {})
        found.update((job.id, job) for job in rows)
    return found


def by_number(connection: Connection, number: int) -> Job | None:
    """Return the job of a number, or None."""
    found = _jobs(connection, select(jobs).where(jobs.c.number == number), {})
    return found[0] if found else None


def states(connection: Connection, ids: Iterable[str]) -> dict[str, int]:
    """Return the states of jobs; those that are not there any more are left out."""
    found: dict[str, int] = {}
    for piece in pieces(ids):
        rows = connection.execute(select(jobs.c.id, jobs.c.state).where(jobs.c.id.in_(piece)))
        found.update((row.id, row.state) for row in rows)
    return found


def unpublished(connection: Connection, limit: int, before: int | None = None) -> list[Job]:
    """Return queued jobs about which no message is on its way, the oldest first.

    Args:
        before: only those that were accepted before that time.
    """
    wanted: list[ColumnElement[bool] | Any] = [text(UNPUBLISHED_JOB)]
    if before is not None:
        wanted.append(jobs.c.created < before)
    rows = connection.execute(select(jobs).where(*wanted).order_by(jobs.c.number).limit(limit))
    return [Job(**row) for row in rows.mappings()]


def published(connection: Connection, ids: Iterable[str], now: int) -> None:
    """Note that the broker has a message about each of them."""
    for piece in pieces(ids):
        connection.execute(
            update(jobs).where(jobs.c.id.in_(piece), jobs.c.state == QUEUED).values(published=now)
        )


def still_unpublished(connection: Connection, ids: Iterable[str]) -> set[str]:
    """Return those of the jobs about which no message is on its way, and should be."""
    found: set[str] = set()
    for piece in pieces(ids):
        wanted = (jobs.c.id.in_(piece), jobs.c.state == QUEUED, jobs.c.published.is_(None))
        found.update(connection.scalars(select(jobs.c.id).where(*wanted)))
    return found


def take(
    connection: Connection, id: str, worker: str, now: int, until: int, more: int = 0
) -> list[Job]:
    """Lease a queued job; nothing: it has ended, or somebody has it.

    Args:
        more: so many others may be leased with it: of its task, model and version. Nobody else
            shares the fate of one that was begun before, nor the other way round.

    Returns:
        the job that was named, then the others.
    """
    lease = {"holder": clean(worker, 128), "now": now, "until": until}
    taken = _jobs(connection, TAKE, {"wanted": id, **lease})
    if not taken or more <= 0 or taken[0].attempts > 1:
        return taken
    others = _alike(connection, taken[0], now, more)
    if others:
        found = _jobs(connection, TAKE_OTHERS, {"others": others, **lease})
        taken += sorted(found, key=lambda job: job.number)
    return taken


def renew(connection: Connection, id: str, token: int, until: int, progress: Any = None) -> bool:
    """Keep a lease; return False when it is lost, or the job shall be given up."""
    values: dict[str, Any] = {"leased_until": until}
    if progress is not None:
        values["progress"] = progress
    return _held(connection, id, token, values, jobs.c.cancel.is_(False))


def finish(
    connection: Connection,
    id: str,
    token: int,
    state: int,
    now: int,
    *,
    result: Any = None,
    result_ref: str | None = None,
    error: dict[str, Any] | None = None,
) -> bool:
    """End a job; return False when the lease was lost: then nothing is written.

    Args:
        state: `SUCCEEDED`, `JOB_FAILED` or `CANCELED`.
        result_ref: the blob that the result names.
    """
    return finish_all(connection, [Finish(id, token, state, result, result_ref, error)], now)[0]


def finish_all(connection: Connection, ends: Sequence[Finish], now: int) -> list[bool]:
    """End many jobs; return for each what `finish` does."""
    held: set[tuple[str, int]] = set()
    for piece in pieces(one.id for one in ends):
        found = connection.execute(
            select(jobs.c.id, jobs.c.token)
            .where(jobs.c.id.in_(piece), jobs.c.state == RUNNING)
            .order_by(jobs.c.number)
            .with_for_update()
        )
        held.update((row.id, row.token) for row in found)
    values = [
        {f"new_{name}": getattr(one, name) for name in Finish.__slots__} | {"new_completed": now}
        for one in ends
        if (one.id, one.token) in held
    ]
    if values:
        connection.execute(_FINISHED, values)
    return [(one.id, one.token) in held for one in ends]


def hand_back(connection: Connection, id: str, token: int) -> bool:
    """Give a job back unfinished, as if it had not been begun: the worker is told to stop."""
    values = {"state": QUEUED, "published": None, "attempts": jobs.c.attempts - 1}
    return _held(connection, id, token, values | _RELEASED)


def cancel(connection: Connection, id: str, now: int) -> Job | None:
    """Cancel a queued job, and tell the worker of a running one; return it as it is then."""
    ended = cancel_queued(connection, id, now)
    if ended is not None:
        return ended
    running = _change(connection, and_(jobs.c.id == id, jobs.c.state == RUNNING), {"cancel": True})
    return running[0] if running else get(connection, id)


def cancel_queued(connection: Connection, id: str, now: int) -> Job | None:
    """Cancel a job if nobody has begun it; return it if so."""
    values = {"cancel": True, "state": CANCELED, "completed": now}
    ended = _change(connection, and_(jobs.c.id == id, jobs.c.state == QUEUED), values)
    return ended[0] if ended else None


def again(connection: Connection, id: str, now: int, expires: int | None = None) -> Job | None:
    """Queue a job that did not succeed once more, with all its attempts; None: it was not so.

    Args:
        expires: from when on nobody begins it any more.
    """
    values = {
        "state": QUEUED, "attempts": 0, "published": None, "completed": None, "started": None,
        "error": None, "progress": None, "cancel": False, "expires": expires, "created": now,
    }  # fmt: skip
    queued = update(jobs).where(jobs.c.id == id, _can_be_retried()).values(**values)
    row = connection.execute(queued.returning(jobs)).mappings().one_or_none()
    return None if row is None else Job(**row)


def _can_be_retried() -> ColumnElement[bool]:
    """A job that ended without success.

    One prediction has one record under its id: one that left a record is asked for anew.
    """
    unanswered = or_(
        jobs.c.task != PREDICT,
        jobs.c.state.in_((DEAD, EXPIRED)),
        and_(jobs.c.state == CANCELED, jobs.c.started.is_(None)),
    )
    return and_(jobs.c.state.in_(_RETRIED), unanswered)


def _change(
    connection: Connection, wanted: ColumnElement[bool], values: dict[str, Any]
) -> list[Job]:
    """Change open jobs, and return them as they are then."""
    return _jobs(connection, update(jobs).where(_OPEN, wanted).values(**values).returning(jobs), {})


def _jobs(connection: Connection, statement: Executable, values: dict[str, Any]) -> list[Job]:
    return [Job(**row) for row in connection.execute(statement, values).mappings()]


def _alike(connection: Connection, job: Job, now: int, more: int) -> list[int]:
    """Return the numbers of the oldest jobs that can be done together with this one."""
    about = {"queue": job.queue, "task": job.task, "subject": job.subject}
    found = connection.execute(ALIKE, {"now": now, "most": more + _LOOK, **about})
    which = _asked_for(job.options)
    return [row.number for row in found if _asked_for(row.options) == which][:more]


def _asked_for(options: dict[str, Any]) -> tuple[Any, Any]:
    return options.get("version"), options.get("stage")


_RELEASED: dict[str, Any] = {"worker": None, "leased_until": None}
_FINISHED = (
    update(jobs)
    .where(jobs.c.id == bindparam("new_id"), jobs.c.token == bindparam("new_token"))
    .values(
        {
            name: bindparam(f"new_{name}")
            for name in ("state", "completed", "result", "result_ref", "error")
        }
        | _RELEASED
    )
)


def _held(
    connection: Connection,
    id: str,
    token: int,
    values: dict[str, Any],
    *conditions: ColumnElement[bool],
) -> bool:
    """Change a job that is held by this token; return whether it is."""
    held = and_(jobs.c.id == id, jobs.c.state == RUNNING, jobs.c.token == token, *conditions)
    return bool(connection.execute(update(jobs).where(held).values(**values)).rowcount)
