"""Forgetting: what is old, or more than was asked for, a piece at a time."""

from typing import Any

from sqlalchemy import Connection, delete, exists, select, text

from services.ledger.database.statements import is_sqlite, pieces
from services.ledger.database.tables import ATTACHED, OPEN, feedback, minutes, predictions

_DAY_SECONDS = 86_400
_MINUTE_DAYS = 7
# Pages of 4 KiB given back to the file system at once: 4 MiB take less than 50 ms.
_PAGES = 1_000


def prune(
    connection: Connection, keep_days: float, keep_rows: int, now: float, most: int = 5000
) -> int:
    """Remove up to `most` of the oldest predictions; return how many went. Call it again if `most`.

    Their feedback goes with them. A prediction with feedback that MLflow does not have yet stays.
    Minutes that MLflow has been told go after a week.

    Args:
        keep_days: age at which a prediction goes; 0: never.
        keep_rows: how many may be there; 0: any number.
        now: seconds since 1970.
    """
    ids = _outdated(connection, keep_days, keep_rows, now, most)
    for piece in pieces(ids):
        connection.execute(
            delete(feedback).where(
                feedback.c.prediction_id.in_(piece), feedback.c.state >= ATTACHED
            )
        )
        connection.execute(delete(predictions).where(predictions.c.id.in_(piece)))
    if keep_days:
        _prune_strays(connection, _microseconds(now, keep_days), most)
    connection.execute(
        delete(minutes).where(
            minutes.c.minute < (now - _MINUTE_DAYS * _DAY_SECONDS) // 60,
            minutes.c.shipped_count == minutes.c.count,
        )
    )
    if is_sqlite(connection):
        _shrink(connection)
    return len(ids)


def _outdated(
    connection: Connection, keep_days: float, keep_rows: int, now: float, most: int
) -> list[str]:
    """Return the ids of up to `most` predictions that are too old or too many, the oldest first."""
    columns = predictions.c
    bound = _microseconds(now, keep_days) if keep_days else None
    if keep_rows:
        # Read from the index alone: 20 ms for a million rows.
        oldest_kept = connection.scalar(
            select(columns.time).order_by(columns.time.desc()).offset(keep_rows - 1).limit(1)
        )
        if oldest_kept is not None:
            bound = max(bound or oldest_kept, oldest_kept)
    if bound is None:
        return []
    waiting = exists().where(feedback.c.prediction_id == columns.id, text(OPEN))
    found = connection.execute(
        select(columns.id).where(columns.time < bound, ~waiting).order_by(columns.time).limit(most)
    )
    return list(found.scalars())


def _prune_strays(connection: Connection, bound: int, most: int) -> None:
    """Remove old feedback of predictions that were never indexed, or went before it came."""
    oldest = select(feedback).order_by(feedback.c.number).limit(most).subquery()
    known = exists().where(predictions.c.id == oldest.c.prediction_id)
    strays = connection.execute(
        select(oldest.c.number).where(oldest.c.created < bound, oldest.c.state >= ATTACHED, ~known)
    )
    for piece in pieces(strays.scalars().all()):
        connection.execute(delete(feedback).where(feedback.c.number.in_(piece)))


def _shrink(connection: Connection) -> None:
    """Give pages back to the file system where a third of the file is free.

    Fewer are left where they are: the next rows need them.
    """
    free = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    if free > _PAGES and free * 3 > pages:
        driver: Any = connection.connection.driver_connection
        for _ in range(_PAGES):
            # One page each: Python's driver never takes the second step of a larger number.
            driver.execute("PRAGMA incremental_vacuum(1)")


def _microseconds(now: float, days: float) -> int:
    return round((now - days * _DAY_SECONDS) * 1e6)
