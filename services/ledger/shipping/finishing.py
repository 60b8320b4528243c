"""Deletes the segments that are where they belong, and says how much is still under way."""

import time
from collections.abc import Mapping
from typing import Any

from services.core.errors import InvalidInputError
from services.core.settings import Settings
from services.ledger.database import index
from services.ledger.database.index import Progress
from services.ledger.database.opening import Database
from services.ledger.places import Places
from services.ledger.reading import Segment, read, remove, segments
from services.ledger.records import parse

# Enough for the first record of a segment, unless that is a large one.
_FIRST_BYTES = 64 * 1024

_Key = tuple[str, int]
_Rows = Mapping[_Key, Progress]


class Finishing:
    """The last stage: a segment may go when it is sealed, indexed, traced and stored.

    Where there is no MLflow at all, those whose part that is say so of every segment.
    """

    name = "finishing"

    def __init__(self, settings: Settings, database: Database, places: Places) -> None:
        self._database = database
        self._places = places
        self._tidied = False
        # When the first record of a segment was made; of the oldest one of each writer.
        self._begun: dict[_Key, float | None] = {}
        self._pending = self._bytes = 0
        self._oldest: float | None = None

    def step(self) -> bool:
        """Delete what is done.

        Raises:
            LedgerUnavailableError: the database does not answer.
        """
        listed = segments(self._places.journal)
        self._bytes = sum(segment.size for segment in listed)
        with self._database.reading() as connection:
            rows = index.all_progress(connection)
        if not self._tidied:
            self._forget_lost(listed, rows)
            self._tidied = True
        done: list[Segment] = []
        left: list[Segment] = []
        for segment in listed:
            (done if _done(segment, rows.get(_key(segment))) else left).append(segment)
        for segment in done:
            # The file goes first: without its row it would be taken for a new one.
            remove(segment)
        self._forget([_key(segment) for segment in done])
        self._survey(left, rows)
        return False

    def status(self) -> dict[str, Any]:
        """Return `pending`, `pending_bytes` and `oldest_seconds`."""
        oldest = 0.0 if self._oldest is None else max(0.0, time.time() - self._oldest)
        return {
            "pending": self._pending,
            "pending_bytes": self._bytes,
            "oldest_seconds": round(oldest, 1),
        }

    def close(self) -> None:
        """Nothing to let go of."""

    def _forget_lost(self, listed: list[Segment], rows: _Rows) -> None:
        """Drop the rows of segments that went while their shipper was killed."""
        if not self._database.is_sqlite:
            return  # other machines may use it too, and their segments lie there
        there = {_key(segment) for segment in listed}
        self._forget([key for key, row in rows.items() if row.stored and key not in there])

    def _forget(self, keys: list[_Key]) -> None:
        if not keys:
            return
        with self._database.begin() as connection:
            for key in keys:
                index.forget_segment(connection, *key)

    def _survey(self, left: list[Segment], rows: _Rows) -> None:
        """Count what MLflow does not have yet."""
        waiting = [s for s in left if (row := rows.get(_key(s))) is None or not row.stored]
        self._bytes = sum(segment.size for segment in left)
        self._pending = sum(row.records for s in waiting if (row := rows.get(_key(s))) is not None)
        first = {segment.writer: segment for segment in reversed(waiting)}
        oldest = {_key(segment): segment for segment in first.values()}
        self._begun = {
            key: self._begun.get(key) or _first_time(segment) for key, segment in oldest.items()
        }
        self._oldest = min((at for at in self._begun.values() if at is not None), default=None)


def _key(segment: Segment) -> _Key:
    return segment.writer, segment.number


def _done(segment: Segment, row: Progress | None) -> bool:
    if row is None or not segment.sealed or not row.stored:
        return False
    return min(row.indexed_to, row.traced_to) >= segment.size


def _first_time(segment: Segment) -> float | None:
    """Return when the first record of a segment was made, by the clock of then."""
    try:
        records = read(segment, 0, _FIRST_BYTES).records
        return parse(records[0].payload).time if records else None
    except (OSError, InvalidInputError):
        return None
