"""Takes records from the journals into the database. Waits for nothing but that."""

import time
from collections import defaultdict, deque
from collections.abc import Iterator
from typing import Any

from sqlalchemy.exc import DataError, IntegrityError

from services.core.errors import InvalidInputError, LedgerUnavailableError
from services.core.logging import get_logger
from services.core.settings import Settings
from services.ledger.database import index
from services.ledger.database.opening import Database
from services.ledger.places import Places
from services.ledger.reading import Chunk, Entry, Segment, read, segments
from services.ledger.records import Record, parse
from services.ledger.shipping.lane import describe
from services.ledger.shipping.unreadable import Unreadable

_log = get_logger(__name__)
_MOST_RECORDS = 2000
_MOST_BYTES = 1024 * 1024
_STEP_SECONDS = 0.5
_DAMAGED = "damaged_bytes"

_Key = tuple[str, int]
_Refused = tuple[Entry, str]


class Indexing:
    """The first stage: everything else works on what it has taken.

    How far a segment is taken stands in the database, in the same transaction as its records:
    whenever the process dies, each record is counted once.
    """

    name = "indexing"

    def __init__(self, settings: Settings, database: Database, places: Places) -> None:
        self._database = database
        self._places = places
        self._unreadable = Unreadable(places)
        # How far the database has each segment; further, where no record lies between.
        self._taken: dict[_Key, int] = {}
        # Size and state of a segment when it had nothing new.
        self._seen: dict[_Key, tuple[int, bool]] = {}
        self._most = _MOST_RECORDS
        self._unindexed = 0

    def step(self) -> bool:
        """Take what is new for about half a second, piece by piece, each writer in its turn.

        Raises:
            LedgerUnavailableError: the database does not answer.
        """
        listed = segments(self._places.journal)
        self._forget(listed)
        lines: dict[str, deque[Segment]] = defaultdict(deque)
        for segment in self._behind(listed):
            lines[segment.writer].append(segment)
        try:
            return self._work(lines)
        finally:
            self._measure(listed)

    def status(self) -> dict[str, Any]:
        """Return `unindexed_bytes`, and `damaged_bytes` since the ledger began."""
        with self._database.reading() as connection:
            damaged = index.totals(connection).get(_DAMAGED, 0)
        return {"unindexed_bytes": self._unindexed, _DAMAGED: damaged}

    def close(self) -> None:
        """Nothing to let go of."""

    def _behind(self, listed: list[Segment]) -> Iterator[Segment]:
        for segment in listed:
            key = (segment.writer, segment.number)
            if self._seen.get(key) != (segment.size, segment.sealed):
                yield segment

    def _work(self, lines: dict[str, deque[Segment]]) -> bool:
        useful, until = False, time.monotonic() + _STEP_SECONDS
        while lines and time.monotonic() < until:
            for writer, line in list(lines.items()):
                if self._advance(line[0]):
                    useful = True
                    continue
                line.popleft()
                if not line:
                    del lines[writer]
        return useful

    def _measure(self, listed: list[Segment]) -> None:
        left = [s.size - self._taken.get((s.writer, s.number), 0) for s in self._behind(listed)]
        # A segment may have grown since it was listed.
        self._unindexed = sum(size for size in left if size > 0)

    def _forget(self, listed: list[Segment]) -> None:
        present = {(segment.writer, segment.number) for segment in listed}
        for known in (self._taken, self._seen):
            for key in [key for key in known if key not in present]:
                del known[key]

    def _advance(self, segment: Segment) -> bool:
        """Take a piece of a segment; return whether there was anything to do."""
        key = (segment.writer, segment.number)
        try:
            start = self._start(key)
            if segment.sealed and start >= segment.size:
                self._seen[key] = (segment.size, segment.sealed)
                return False
            chunk = self._read(segment, start)
            useful = bool(chunk.records or chunk.damaged or chunk.finished)
            if useful and not self._take(segment, chunk):
                return True
        except FileNotFoundError:
            return False  # finished with and deleted since it was listed
        except Exception:
            # Only the database knows now whether the transaction counts.
            self._taken.pop(key, None)
            raise
        self._taken[key] = chunk.next_offset
        if chunk.finished or chunk.next_offset == start:
            self._seen[key] = (segment.size, segment.sealed)
        return useful

    def _start(self, key: _Key) -> int:
        if key not in self._taken:
            with self._database.reading() as connection:
                self._taken[key] = index.progress(connection, *key).indexed_to
        return self._taken[key]

    def _read(self, segment: Segment, start: int) -> Chunk:
        chunk = read(segment, start, _MOST_BYTES)
        if len(chunk.records) <= self._most:
            return chunk
        # Again and shorter, so that damage is counted with the records that follow it.
        return read(segment, start, chunk.records[self._most - 1].end - start)

    def _take(self, segment: Segment, chunk: Chunk) -> bool:
        """Write a piece into the database; False: it has to be a shorter one."""
        records, refused = [], []
        for entry in chunk.records:
            try:
                records.append(parse(entry.payload))
            except InvalidInputError as error:
                refused.append((entry, error.message))
        try:
            self._add(segment, chunk, records, refused)
        except (LedgerUnavailableError, ValueError, OverflowError) as error:
            if not records or not _blames_data(error):
                raise
            if len(chunk.records) > 1:
                # One of them is at fault: half as many, until it stands alone.
                self._most = len(chunk.records) // 2
                return False
            refused = [(chunk.records[0], describe(error.__cause__ or error))]
            self._add(segment, chunk, [], refused)
        self._most = min(_MOST_RECORDS, 2 * self._most)
        return True

    def _add(
        self, segment: Segment, chunk: Chunk, records: list[Record], refused: list[_Refused]
    ) -> None:
        for entry, reason in refused:
            self._unreadable.put(segment, entry, reason)
        # What a power failure takes back is in the journal still.
        with self._database.begin(durable=False) as connection:
            index.add(connection, records, segment, chunk.next_offset, chunk.damaged)
            if chunk.damaged:
                index.bump(connection, _DAMAGED, chunk.damaged)
        if chunk.damaged:
            _log.error(
                "a journal is damaged",
                writer=segment.writer, segment=segment.number,
                before=chunk.next_offset, bytes=chunk.damaged,
            )  # fmt: skip


def _blames_data(error: Exception) -> bool:
    """Return whether trying the same again is in vain."""
    if isinstance(error, LedgerUnavailableError):
        return isinstance(error.__cause__, DataError | IntegrityError)
    return True
