"""Jobs as they stand in the database: accepted, leased, ended; each step in one transaction.

A worker holds a job by a lease with a fencing token: whatever it writes counts only while the
token is still the job's own, so that one that was paused, or cut off, changes nothing any more.
Times are microseconds since 1970 (UTC), by the clock of whoever calls.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select, text, update

from services.core.errors import ConflictError
from services.ledger.database.statements import clean, insert, pieces
from services.ledger.database.tables import CANCELED, DEAD, OPEN_JOB, QUEUED, RUNNING, jobs

_LONGEST_KEY = 256
_OPEN = text(OPEN_JOB)


@dataclass(frozen=True, slots=True)
class NewJob:
    """What somebody wants done.

    Attributes:
        id: a UUID.
        key: under which the same request gives the same job; with whoever asks in front.
        fingerprint: SHA-256 (hex) of what is asked for.
        options: small JSON values; what is large is named by `payload`, a blob.
        expires: from when on nobody begins it any more.
    """

    id: str
    queue: str
    task: str
    subject: str
    fingerprint: str
    options: dict[str, Any]
    created: int
    payload: str | None = None
    key: str | None = None
    caller: str | None = None
    request_id: str | None = None
    expires: int | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A job, with the columns of the table."""

    number: int
    id: str
    queue: str
    task: str
    subject: str
    caller: str | None
    request_id: str | None
    key: str | None
    fingerprint: str
    options: dict[str, Any]
    payload: str | None
    created: int
    expires: int | None
    state: int
    published: int | None
    attempts: int
    token: int
    worker: str | None
    leased_until: int | None
    cancel: bool
    started: int | None
    completed: int | None
    progress: Any
    result: Any
    error: dict[str, Any] | None


def add(connection: Connection, new: NewJob) -> tuple[Job, bool]:
    """Accept a job; return it, and whether it is new: the same key gives the first one again.

    Raises:
        ConflictError: the key stands for another request.
    """
    key = clean(new.key, _LONGEST_KEY)
    values = {
        "id": new.id,
        "queue": new.queue,
        "task": new.task,
        "subject": clean(new.subject, 256),
        "caller": clean(new.caller, 128),
        "request_id": clean(new.request_id, 128),
        "key": key,
        "fingerprint": new.fingerprint,
        "options": new.options,
        "payload": new.payload,
        "created": new.created,
        "expires": new.expires,
    }
    connection.execute(insert(connection, jobs).values(**values).on_conflict_do_nothing())
    same = jobs.c.id == new.id if key is None else or_(jobs.c.id == new.id, jobs.c.key == key)
    found = _one(connection, same)
    if found is None or found.fingerprint != new.fingerprint:
        raise ConflictError(
            "This key was used for another request before.",
            where="Idempotency-Key",
            expected="a new key for each request, and the same body for the same key",
        )
    return found, found.id == new.id


def get(connection: Connection, id: str) -> Job | None:
    """Return a job, or None."""
    return _one(connection, jobs.c.id == id)


def unpublished(connection: Connection, limit: int) -> list[Job]:
    """Return queued jobs about which no message is on its way, the oldest first."""
    wanted = and_(_OPEN, jobs.c.state == QUEUED, jobs.c.published.is_(None))
    return _some(connection, wanted, limit)


def published(connection: Connection, ids: Iterable[str], now: int) -> None:
    """Note that the broker has a message about each of them."""
    for piece in pieces(ids):
        connection.execute(
            update(jobs).where(jobs.c.id.in_(piece), jobs.c.state == QUEUED).values(published=now)
        )


def take(connection: Connection, id: str, worker: str, now: int, until: int) -> Job | None:
    """Lease a queued job; None: there is nothing to do, for it has ended or somebody has it."""
    alive = or_(jobs.c.expires.is_(None), jobs.c.expires > now)
    done = connection.execute(
        update(jobs)
        .where(jobs.c.id == id, jobs.c.state == QUEUED, alive)
        .values(
            state=RUNNING,
            token=jobs.c.token + 1,
            attempts=jobs.c.attempts + 1,
            worker=clean(worker, 128),
            leased_until=until,
            started=func.coalesce(jobs.c.started, now),
        )
    )
    return get(connection, id) if done.rowcount else None


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
    error: dict[str, Any] | None = None,
) -> bool:
    """End a job; return False when the lease was lost: then nothing is written.

    Args:
        state: `SUCCEEDED`, `JOB_FAILED` or `CANCELED`.
    """
    values = {"state": state, "completed": now, "result": result, "error": error}
    return _held(connection, id, token, values | _RELEASED)


def hand_back(connection: Connection, id: str, token: int) -> bool:
    """Give a job back unfinished, as if it had not been begun: the worker is told to stop."""
    values = {"state": QUEUED, "published": None, "attempts": jobs.c.attempts - 1}
    return _held(connection, id, token, values | _RELEASED)


def cancel(connection: Connection, id: str, now: int) -> Job | None:
    """Cancel a queued job, and tell the worker of a running one; return it as it is then."""
    waiting = jobs.c.state == QUEUED
    connection.execute(
        update(jobs)
        .where(jobs.c.id == id, _OPEN)
        .values(
            cancel=True,
            state=case((waiting, CANCELED), else_=jobs.c.state),
            completed=case((waiting, now), else_=jobs.c.completed),
        )
    )
    return get(connection, id)


def again(connection: Connection, id: str, now: int) -> bool:
    """Queue a job that is dead once more, with all its attempts; return whether it was dead."""
    done = connection.execute(
        update(jobs)
        .where(jobs.c.id == id, jobs.c.state == DEAD)
        .values(
            state=QUEUED, attempts=0, published=None, completed=None, error=None,
            cancel=False, expires=None, created=now,
        )
    )  # fmt: skip
    return bool(done.rowcount)


def _one(connection: Connection, wanted: ColumnElement[bool]) -> Job | None:
    row = connection.execute(select(jobs).where(wanted).limit(1)).mappings().one_or_none()
    return None if row is None else Job(**row)


def _some(connection: Connection, wanted: ColumnElement[bool], limit: int) -> list[Job]:
    rows = connection.execute(select(jobs).where(wanted).order_by(jobs.c.number).limit(limit))
    return [Job(**row) for row in rows.mappings()]


_RELEASED: dict[str, Any] = {"worker": None, "leased_until": None}


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
