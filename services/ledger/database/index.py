"""The index of predictions: filled from the journals' segments, each record once.

What a segment holds and how far it was taken are written in one transaction, the caller's: after a
crash the same records may come again, and nothing is counted twice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection, delete, func, select, text, update

from services.ledger.database import minutes, tables
from services.ledger.database.statements import clean, insert, is_sqlite, pieces
from services.ledger.database.tables import UNSENT, predictions, segments
from services.ledger.records import Record

_COLUMNS = tuple(column.name for column in predictions.columns)
_NAMES = ", ".join(_COLUMNS)
# Prepared once, and given tuples: half the time of `insert(predictions)` with dictionaries.
_INSERT_SQLITE = (
    f"INSERT OR IGNORE INTO predictions ({_NAMES}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608
)
# The whole batch as arrays, binary ones: as text they cost seven times as much.
_INSERT_POSTGRESQL = (
    f"INSERT INTO predictions ({_NAMES}) SELECT * FROM unnest("  # noqa: S608
    "%b::text[], %b::bigint[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], "
    "%b::text[], %b::text[], %b::text[], %b::float8[], %b::float8[], %b::smallint[], %b::bytea[]"
    ") ON CONFLICT DO NOTHING RETURNING id"
)
# One at a time counts minutes: two that meet in the same rows in another order would be stuck.
_LOCK = 0x5C1D_0001


class SegmentName(Protocol):
    """What a segment is known by."""

    @property
    def writer(self) -> str: ...  # noqa: D102
    @property
    def number(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a segment came.

    Attributes:
        indexed_to: bytes of it whose records are in the database.
        traced_to: bytes of it whose traces were sent, thinned or refused.
        records: how many it brought that were new.
        damaged: bytes of it that belong to no record.
        stored: its Parquet parts are in MLflow.
    """

    indexed_to: int = 0
    traced_to: int = 0
    records: int = 0
    damaged: int = 0
    stored: bool = False


def add(
    connection: Connection,
    records: Sequence[Record],
    segment: SegmentName,
    indexed_to: int,
    damaged: int,
) -> int:
    """Index what was read of a segment; return how many records were new.

    Args:
        indexed_to: bytes of the segment that are indexed by this, from its beginning.
        damaged: bytes that belong to no record, in this chunk alone.
    """
    if not is_sqlite(connection):
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    wanted = {record.id: record for record in records}
    rows = [_row(record) for record in wanted.values()]
    new = _insert(connection, rows, [wanted[row[0]] for row in rows]) if rows else []
    if new:
        minutes.count(connection, new)
    known = progress(connection, segment.writer, segment.number)
    values = {"records": known.records + len(new)}
    if indexed_to > known.indexed_to:
        values |= {"indexed_to": indexed_to, "damaged": known.damaged + damaged}
    _set(connection, segment.writer, segment.number, **values)
    return len(new)


def progress(connection: Connection, writer: str, number: int) -> Progress:
    """Return how far a segment came; zeros for one that nobody has touched."""
    row = connection.execute(
        select(segments).where(segments.c.writer == writer, segments.c.number == number)
    ).one_or_none()
    if row is None:
        return Progress()
    return Progress(row.indexed_to, row.traced_to, row.records, row.damaged, row.stored)


def all_progress(connection: Connection) -> dict[tuple[str, int], Progress]:
    """Return how far each segment came, by writer and number."""
    return {
        (row.writer, row.number): Progress(
            row.indexed_to, row.traced_to, row.records, row.damaged, row.stored
        )
        for row in connection.execute(select(segments))
    }


def set_traced(connection: Connection, writer: str, number: int, traced_to: int) -> None:
    """Note up to where (in bytes) the traces of a segment are done."""
    _set(connection, writer, number, traced_to=traced_to)


def set_stored(connection: Connection, writer: str, number: int) -> None:
    """Note that the Parquet parts of a segment are in MLflow."""
    _set(connection, writer, number, stored=True)


def forget_segment(connection: Connection, writer: str, number: int) -> None:
    """Forget a segment: its file is gone."""
    connection.execute(
        delete(segments).where(segments.c.writer == writer, segments.c.number == number)
    )


def mark_traces(connection: Connection, ids: Iterable[str], state: int) -> None:
    """Note what became of the traces of predictions: `SENT`, `THINNED` or `REFUSED`."""
    for piece in pieces(ids):
        connection.execute(
            update(predictions).where(predictions.c.id.in_(piece)).values(trace_state=state)
        )


def bump(connection: Connection, name: str, by: int) -> None:
    """Add to a counter; it begins at 0."""
    statement = insert(connection, tables.totals).values(name=name, value=by)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[tables.totals.c.name],
            set_={"value": tables.totals.c.value + by},
        )
    )


def totals(connection: Connection) -> dict[str, int]:
    """Return all counters by name."""
    return {row.name: row.value for row in connection.execute(select(tables.totals))}


def _set(connection: Connection, writer: str, number: int, **values: Any) -> None:
    statement = insert(connection, segments).values(writer=writer, number=number, **values)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[segments.c.writer, segments.c.number], set_=values
        )
    )


def _row(record: Record) -> tuple[Any, ...]:
    """Return the columns of a record, in the order of the table."""
    error = record.error
    return (
        record.id,
        round(record.time * 1e6),
        clean(record.model, 256),
        clean(record.version, 64),
        clean(record.stage, 32),
        clean(record.mode, 16),
        clean(record.caller, 128),
        clean(record.request_id, 128),
        clean(record.status, 16),
        clean(str(error.get("code")), 64) if error else None,
        float(record.seconds),
        minutes.confidence_of(record),
        UNSENT,
        record.raw,
    )


def _insert(
    connection: Connection, rows: list[tuple[Any, ...]], records: list[Record]
) -> list[Record]:
    """Insert rows whose ids are not there; return the records of those that were inserted."""
    if is_sqlite(connection):
        last = connection.scalar(text("SELECT coalesce(max(rowid), 0) FROM predictions"))
        done = connection.exec_driver_sql(_INSERT_SQLITE, rows)
        if done.rowcount == len(rows):
            return records
        found = connection.execute(
            text("SELECT id FROM predictions WHERE rowid > :last"), {"last": last}
        )
    else:
        found = connection.exec_driver_sql(
            _INSERT_POSTGRESQL, tuple(map(list, zip(*rows, strict=True)))
        )
    new = set(found.scalars())
    return [record for record in records if record.id in new]
