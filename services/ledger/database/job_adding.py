"""Accepting jobs: many in one transaction, each of them once.

Whoever sends the same request twice under one key, or one id, gets the first job again.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, or_, select

from services.core.errors import ConflictError
from services.ledger.database.job_rows import Job, NewJob
from services.ledger.database.job_tables import jobs
from services.ledger.database.statements import clean, insert, pieces

# Of new jobs in one statement: a row has 14 values.
_ROWS = 200
Added = tuple[Job, bool] | ConflictError


def add(connection: Connection, new: NewJob) -> tuple[Job, bool]:
    """Accept a job; return it, and whether it is new: the same key gives the first one again.

    Raises:
        ConflictError: the key, or the id, stands for another request.
    """
    (found,) = add_all(connection, [new])
    if isinstance(found, ConflictError):
        raise found
    return found


def add_all(connection: Connection, new: Sequence[NewJob]) -> list[Added]:
    """Accept many jobs at once; return for each what `add` returns or raises."""
    # In one order everywhere: two processes that add the same ones do not wait for each other.
    # Ids of our own are in the order of their time.
    values = [_values(one) for one in sorted(new, key=lambda one: (one.key or "", one.id))]
    made: dict[str, Job] = {}
    for piece in pieces(values, _ROWS):
        adding = insert(connection, jobs).on_conflict_do_nothing().returning(jobs)
        for row in connection.execute(adding, list(piece)).mappings():
            made[row["id"]] = Job(**row)
    known = _Known(made.values())
    known.look_up(connection, [one for one in new if one.id not in made])
    answers: list[Added] = []
    for one in new:
        is_new = made.pop(one.id, None) is not None
        # What kept a row out was there a moment ago, and may be forgotten by now.
        found = known.find(one) or _conflict("id")
        answers.append(found if isinstance(found, ConflictError) else (found, is_new))
    return answers


def find_all(connection: Connection, new: Sequence[NewJob]) -> list[Job | ConflictError | None]:
    """Return for each the job that it stands for already, if there is one; accept nothing."""
    known = _Known(())
    known.look_up(connection, new)
    return [known.find(one) for one in new]


class _Known:
    """Jobs by id and by key."""

    def __init__(self, found: Iterable[Job]) -> None:
        self._by_id: dict[str, Job] = {}
        self._by_key: dict[str, Job] = {}
        self._learn(found)

    def look_up(self, connection: Connection, new: Sequence[NewJob]) -> None:
        """Find the jobs that were there before."""
        for piece in pieces(new, _ROWS):
            ids, keys = [one.id for one in piece], [one.key for one in piece if one.key]
            wanted = or_(jobs.c.id.in_(ids), jobs.c.key.in_(keys)) if keys else jobs.c.id.in_(ids)
            rows = connection.execute(select(jobs).where(wanted)).mappings()
            self._learn(Job(**row) for row in rows)

    def find(self, new: NewJob) -> Job | ConflictError | None:
        """Return the job that a request stands for, if there is one."""
        by_id = self._by_id.get(new.id)
        by_key = None if new.key is None else self._by_key.get(new.key)
        if by_id is not None and not _same(by_id, new):
            return _conflict("id")
        if by_key is not None and not _same(by_key, new):
            return _conflict("Idempotency-Key")
        if by_id is not None and by_key is not None and by_id.id != by_key.id:
            return _conflict("Idempotency-Key")
        return by_id or by_key

    def _learn(self, found: Iterable[Job]) -> None:
        for job in found:
            self._by_id[job.id] = job
            if job.key is not None:
                self._by_key[job.key] = job


def _same(job: Job, new: NewJob) -> bool:
    return job.fingerprint == new.fingerprint and job.caller == clean(new.caller, 128)


def _conflict(where: str) -> ConflictError:
    what = "id" if where == "id" else "key"
    return ConflictError(
        f"This {what} was used for another request before.",
        where=where,
        expected=f"a new {what} for each request, and the same request for the same {what}",
    )


def _values(new: NewJob) -> dict[str, Any]:
    return {
        "id": new.id,
        "queue": new.queue,
        "task": new.task,
        "subject": clean(new.subject, 256),
        "caller": clean(new.caller, 128),
        "request_id": clean(new.request_id, 128),
        "key": new.key,
        "fingerprint": new.fingerprint,
        "options": new.options,
        "payload": new.payload,
        "created": new.created,
        "expires": new.expires,
        "mode": new.mode,
        "webhook": new.webhook,
    }
