"""Moves the records of jobs from the database into a journal, each of them exactly once.

A worker writes a prediction's record in the transaction of its job's result. Here it becomes an
ordinary record of a segment, so that all that follows (index, traces, Parquet) knows no difference.
A segment is this stage's own: `jobs-<id of the ledger's folder>-<id of this start>`, numbers from
1, so no name is ever given twice, whatever becomes of the database. A piece goes in four steps:

1. *claim*: the rows are given the segment's name; committed for good;
2. *append*: they are written to the open segment, which the disk confirms;
3. *index*: the stage `indexing` takes them, as it takes any record;
4. *delete*: the rows go; committed for good. Until then look-ups find them here, then there.

The segment is sealed, and so offered to the stages that store and remove it, only when none of its
rows is left. Whoever begins next, or had an error, settles first what is still claimed under this
folder's id, before any other stage begins: rows that the segment holds are deleted (once the disk
has confirmed it), the others wait again. So, killed

- before 1, or during it: nothing has happened, or rows are claimed that no segment holds;
- between 1 and 2, or in the middle of 2: the rows that are whole in the segment count, no others;
- between 2 and 4: the segment holds all; the rows are deleted, the index knows what it has;
- after 4: it is a segment like any other that a dead writer left open;
- while it settles: the same again.

A shipper holds its folder's lock, so nobody else settles or goes on with this folder's claims; the
shippers of other machines have ids of their own. While the journal is full, rows wait where they
are.
"""

import os
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

from services.core.errors import SlipwayError
from services.core.ids import new_id
from services.core.logging import get_logger
from services.core.settings import Settings
from services.ledger.database import index, record_claims
from services.ledger.database.opening import Database
from services.ledger.database.record_claims import Claimed
from services.ledger.places import Places
from services.ledger.reading import OPEN, Segment, read
from services.ledger.shipping.segment import OwnSegments, confirm
from services.ledger.space import Space

_log = get_logger(__name__)
_PREFIX = "jobs"
_MOST_RECORDS = 5000
_MOST_BYTES = 4 * 1024 * 1024
# The index takes about as long; whoever waits for it longer looks less often.
_SOON, _SOON_SECONDS = 0.05, 1.0
# A claim whose answer got lost may be committed after somebody has settled.
_SETTLE_SECONDS = 60.0


class JobRecords:
    """The stage. Making one settles what the shipper before has left."""

    name = "jobs"

    def __init__(self, settings: Settings, database: Database, places: Places) -> None:
        self._database = database
        self._places = places
        self._space = Space(settings)
        self._most_bytes = min(_MOST_BYTES, settings.ledger_segment_bytes)
        self._most_seconds = settings.ledger_segment_seconds
        self._full_bytes = settings.ledger_segment_bytes
        # Of a piece that stands in the segment, until the index has it: numbers of its rows.
        self._moving: list[int] = []
        self._moved_at = 0.0
        self._segments: OwnSegments | None = None
        self._folder = _folder_id(places)
        self._doubt = False
        self._settled_at = 0.0
        self._settle()

    def step(self) -> bool:
        """Move a piece one step further; return whether to go on at once.

        Raises:
            LedgerUnavailableError: the database does not answer.
            OSError: the disk takes no more.
        """
        old = time.monotonic() - self._settled_at >= _SETTLE_SECONDS
        if self._doubt or (old and not self._moving):
            self._settle()
        self._doubt = True
        again = self._go_on() if self._moving else self._begin()
        self._doubt = False
        return again

    def status(self) -> dict[str, Any]:
        """Return `job_records`, how many are here, and `job_records_seconds`, the oldest's age."""
        with self._database.reading() as connection:
            count, oldest = record_claims.waiting(connection)
        age = 0.0 if oldest is None else max(0.0, time.time() - oldest / 1e6)
        return {"job_records": count, "job_records_seconds": round(age, 1)}

    def close(self) -> None:
        """Seal the segment, unless rows of it are left: then its lock ends with the process."""
        if self._segments is None:
            return
        try:
            if self._doubt or self._moving:
                self._settle()
            self._segments.close()
        except (SlipwayError, OSError) as error:
            _log.warning("records of jobs are left half moved", error=str(error))

    def _begin(self) -> bool:
        """Claim a piece and append it."""
        own = self._segments
        if own is not None and own.due(self._full_bytes, self._most_seconds):
            own.seal()
        with self._database.reading() as connection:
            if not record_claims.any_waiting(connection):
                return False
        self._space.look()
        if self._space.full is not None:
            return False
        own = self._opened()
        number = own.begin()
        with self._database.begin() as connection:
            rows = record_claims.claim(
                connection, own.writer, number, _MOST_RECORDS, self._most_bytes
            )
        if not rows:
            return False  # another machine was quicker
        own.append([row.payload for row in rows])
        self._moving = [row.number for row in rows]
        self._moved_at = time.monotonic()
        return True

    def _go_on(self) -> bool:
        """Delete the rows of the piece, if the index has it."""
        own = self._segments
        assert own is not None
        with self._database.reading() as connection:
            reached = index.progress(connection, own.writer, own.number).indexed_to
        if reached < own.size:
            soon = time.monotonic() - self._moved_at < _SOON_SECONDS
            if soon:
                time.sleep(_SOON)
            return soon
        with self._database.begin() as connection:
            record_claims.moved(connection, self._moving)
        self._moving = []
        return True

    def _opened(self) -> OwnSegments:
        if self._segments is None:
            if self._folder is None:
                self._folder = _make_folder_id(self._places)
            writer = f"{_PREFIX}-{self._folder}-{new_id()}"
            self._segments = OwnSegments(self._places.journal, writer)
        return self._segments

    def _settle(self) -> None:
        """Make good what is claimed under this folder's id; see the module."""
        self._settled_at = time.monotonic()
        if self._folder is None:
            return
        with self._database.reading() as connection:
            held = record_claims.held(connection, f"{_PREFIX}-{self._folder}-")
        groups: dict[tuple[str, int], list[Claimed]] = defaultdict(list)
        for row in held:
            groups[row.writer, row.segment].append(row)
        for (writer, number), rows in groups.items():
            there = _payloads(self._places.journal, writer, number)
            with self._database.begin() as connection:
                record_claims.moved(connection, [r.number for r in rows if r.payload in there])
                record_claims.release(
                    connection, [r.number for r in rows if r.payload not in there]
                )
        if self._segments is not None:
            self._segments.settled()
        self._moving, self._doubt = [], False


def _payloads(journal: Path, writer: str, number: int) -> set[bytes]:
    """Return the records that a segment holds for certain; none where it is not there.

    The rest of one that was being written is cut off, unless the segment is sealed already.
    """
    path = journal / writer / f"{number:08d}{OPEN}"
    segment = Segment(writer, number, path, sealed=False, size=0)
    found: set[bytes] = set()
    with suppress(FileNotFoundError):
        confirm(segment)
        offset = 0
        while True:
            chunk = read(segment, offset)
            found.update(entry.payload for entry in chunk.records)
            if chunk.next_offset == offset:
                break
            offset = chunk.next_offset
        # What a kill left of the last one would count as damage.
        os.truncate(path, offset)
    return found


def _folder_id(places: Places) -> str | None:
    """Return the id of the ledger's folder; None where it has none yet."""
    with suppress(FileNotFoundError):
        found = places.folder_id.read_text(encoding="ascii").strip()
        if found:
            return found
    return None


def _make_folder_id(places: Places) -> str:
    """Give the ledger's folder an id, which it keeps."""
    found = os.urandom(8).hex()
    places.root.mkdir(parents=True, exist_ok=True)
    draft = places.folder_id.with_suffix(".new")
    with draft.open("w", encoding="ascii") as file:
        file.write(found)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(places.folder_id)
    folder = os.open(places.root, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return found
