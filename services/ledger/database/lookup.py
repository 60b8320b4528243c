"""Looking up predictions: one by its id, or the newest that fit, page by page."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, TextClause, literal_column, select, text, tuple_

from services.ledger.database.statements import is_sqlite, pieces
from services.ledger.database.tables import UNUSUAL, predictions

Condition = ColumnElement[bool] | TextClause
_USUAL = {"status": "succeeded", "mode": "sync"}


@dataclass(frozen=True, slots=True)
class Row:
    """A prediction as it is indexed.

    Attributes:
        time: when it was admitted, in microseconds since 1970 (UTC).
        seconds: from then to its end.
        trace_state: `UNSENT`, `SENT`, `THINNED` or `REFUSED` of `tables`.
        record: the whole record, JSON in UTF-8, for `services.ledger.records.parse`.
    """

    id: str
    time: int
    model: str
    version: str
    stage: str | None
    mode: str
    caller: str | None
    request_id: str | None
    status: str
    error_code: str | None
    seconds: float
    confidence: float | None
    trace_state: int
    record: bytes


def find(connection: Connection, id: str) -> Row | None:
    """Return a prediction, or None where it is not indexed (yet, or any more)."""
    row = connection.execute(select(predictions).where(predictions.c.id == id)).one_or_none()
    return None if row is None else Row(*row)


def records(connection: Connection, ids: Iterable[str]) -> dict[str, bytes]:
    """Return the records of those predictions that are indexed, by id."""
    found: dict[str, bytes] = {}
    for piece in pieces(ids):
        rows = connection.execute(
            select(predictions.c.id, predictions.c.record).where(predictions.c.id.in_(piece))
        )
        found.update((row.id, bytes(row.record)) for row in rows)
    return found


def recent(
    connection: Connection,
    *,
    model: str | None = None,
    version: str | None = None,
    status: str | None = None,
    since: int | None = None,
    until: int | None = None,
    mode: str | None = None,
    caller: str | None = None,
    before: tuple[int, str] | None = None,
    limit: int,
) -> list[Row]:
    """Return the newest predictions that fit, newest first.

    Args:
        since: microseconds since 1970; those of that very time are among them.
        until: microseconds since 1970; those of that very time are not.
        before: time and id of the last row of the page before this one.
    """
    named = {
        "model": model,
        "version": version,
        "status": status,
        "mode": mode,
        "caller": caller,
    }
    columns = predictions.c
    conditions = _conditions(connection, {k: v for k, v in named.items() if v is not None})
    if since is not None:
        conditions.append(columns.time >= since)
    if until is not None:
        conditions.append(columns.time < until)
    if before is not None:
        # The first says what the second implies, so that the index on the time is entered there.
        conditions.append(columns.time <= before[0])
        conditions.append(tuple_(columns.time, columns.id) < before)
    rows = connection.execute(
        select(predictions)
        .where(*conditions)
        .order_by(columns.time.desc(), columns.id.desc())
        .limit(limit)
    )
    return [Row(*row) for row in rows]


def _conditions(connection: Connection, named: dict[str, str]) -> list[Condition]:
    """Return what rows must be, said so that the index of the fewest rows is used."""
    # Says nothing new, but allows the index that has only such rows.
    unusual = [
        text(condition)
        for name, condition in UNUSUAL.items()
        if name in named and named[name] != _USUAL.get(name)
    ]
    equal = []
    for name, value in named.items():
        column: ColumnElement[str] = predictions.c[name]
        if unusual and name == "version" and is_sqlite(connection):
            # SQLite keeps no count of values: the plus keeps it from the version's index.
            column = literal_column("+version")
        equal.append(column == value)
    return [*equal, *unusual]
