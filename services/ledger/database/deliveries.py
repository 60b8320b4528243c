"""Webhooks as they stand in the database: to be sent, sent, or given up. Times: microseconds."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select, text, update

from services.core.ids import new_id
from services.ledger.database.job_tables import (
    DELIVERED,
    GIVEN_UP,
    OPEN_DELIVERY,
    deliveries,
)
from services.ledger.database.statements import clean, insert

_OPEN = text(OPEN_DELIVERY)
_LONGEST_ERROR = 500


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook, with the columns of the table; `id` is the same in every try."""

    number: int
    id: str
    job: str
    event: str
    url: str
    body: str
    created: int
    due: int
    attempts: int
    state: int
    last_error: str | None


def add(connection: Connection, job: str, event: str, url: str, body: str, now: int) -> str:
    """Note that somebody is to be told; return the id under which it is."""
    id = new_id()
    values = {
        "id": id, "job": job, "event": event, "url": url, "body": body, "created": now, "due": now,
    }  # fmt: skip
    connection.execute(insert(connection, deliveries).values(**values))
    return id


def due(connection: Connection, now: int, until: int, limit: int) -> list[Delivery]:
    """Take those whose time has come, the longest overdue first, to try each once.

    Args:
        until: when they are due again, should nobody say how the try went.

    Returns:
        them, this try counted among their attempts.
    """
    columns = deliveries.c
    chosen = (
        select(columns.number)
        .where(_OPEN, columns.due <= now)
        .order_by(columns.due, columns.number)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    numbers = list(connection.scalars(chosen))
    if not numbers:
        return []
    taken = (
        update(deliveries)
        .where(_OPEN, columns.number.in_(numbers))
        .values(due=until, attempts=columns.attempts + 1)
        .returning(deliveries)
    )
    found = {row["number"]: Delivery(**row) for row in connection.execute(taken).mappings()}
    return [found[number] for number in numbers if number in found]


def done(connection: Connection, id: str) -> None:
    """Note that it arrived."""
    _change(connection, id, state=DELIVERED, last_error=None)


def again(connection: Connection, id: str, due: int, error: str) -> None:
    """Note that it did not arrive, and when to try again."""
    _change(connection, id, due=due, last_error=clean(error, _LONGEST_ERROR))


def given_up(connection: Connection, id: str, error: str) -> None:
    """Note that it did not arrive, and will not be tried again."""
    _change(connection, id, state=GIVEN_UP, last_error=clean(error, _LONGEST_ERROR))


def pending(connection: Connection) -> int:
    """Return how many are still to be made."""
    return connection.scalar(select(func.count()).select_from(deliveries).where(_OPEN)) or 0


def of_job(connection: Connection, job: str) -> list[Delivery]:
    """Return those of a job, in the order in which they came up."""
    rows = connection.execute(
        select(deliveries).where(deliveries.c.job == job).order_by(deliveries.c.number)
    )
    return [Delivery(**row) for row in rows.mappings()]


def _change(connection: Connection, id: str, **values: Any) -> None:
    connection.execute(update(deliveries).where(_OPEN, deliveries.c.id == id).values(**values))
