"""Which records of jobs are on their way into which segment of a journal, and how many wait."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, func, select, update

from services.ledger.database.job_tables import job_records
from services.ledger.database.statements import pieces

_COLUMNS = job_records.c


@dataclass(frozen=True, slots=True)
class Claimed:
    """A record that goes, or has gone, into a segment."""

    number: int
    payload: bytes
    writer: str
    segment: int


def any_waiting(connection: Connection) -> bool:
    """Whether there is a record that goes nowhere yet."""
    wanted = select(_COLUMNS.number).where(_COLUMNS.writer.is_(None)).limit(1)
    return connection.scalar(wanted) is not None


def claim(
    connection: Connection, writer: str, segment: int, most: int, most_bytes: int
) -> list[Claimed]:
    """Note that the oldest records that wait go into a segment; return them in their order.

    Several shippers may do so at once: none gets what another has.

    Args:
        most_bytes: of their payloads together; a single longer one is taken all the same.
    """
    rows = connection.execute(
        select(_COLUMNS.number, func.length(_COLUMNS.payload))
        .where(_COLUMNS.writer.is_(None))
        .order_by(_COLUMNS.number)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    numbers: list[int] = []
    for number, size in rows:
        most_bytes -= size
        if numbers and most_bytes < 0:
            break
        numbers.append(number)
    found: list[Claimed] = []
    for piece in pieces(numbers):
        there = _COLUMNS.number.in_(piece)
        connection.execute(update(job_records).where(there).values(writer=writer, segment=segment))
        found += _claimed(connection, there)
    return found


def held(connection: Connection, prefix: str) -> list[Claimed]:
    """Return the records that are claimed by the writers whose names begin so."""
    return _claimed(connection, _COLUMNS.writer.startswith(prefix, autoescape=True))


def release(connection: Connection, numbers: Iterable[int]) -> None:
    """Let records wait again: they are in no segment."""
    for piece in pieces(numbers):
        connection.execute(
            update(job_records)
            .where(_COLUMNS.number.in_(piece))
            .values(writer=None, segment=None)
        )  # fmt: skip


def moved(connection: Connection, numbers: Iterable[int]) -> None:
    """Delete records: they are in a segment, on the disk."""
    for piece in pieces(numbers):
        connection.execute(delete(job_records).where(_COLUMNS.number.in_(piece)))


def waiting(connection: Connection) -> tuple[int, int | None]:
    """Return how many records there are, and the time of the oldest (microseconds since 1970)."""
    count = connection.scalar(select(func.count()).select_from(job_records)) or 0
    oldest = connection.scalar(select(_COLUMNS.time).order_by(_COLUMNS.number).limit(1))
    return count, oldest


def _claimed(connection: Connection, wanted: ColumnElement[bool]) -> list[Claimed]:
    rows = connection.execute(
        select(_COLUMNS.number, _COLUMNS.payload, _COLUMNS.writer, _COLUMNS.segment)
        .where(wanted)
        .order_by(_COLUMNS.number)
    )
    return [Claimed(*row) for row in rows]
