"""Finding one prediction in the journals of this machine, which run ahead of the database.

A record is in the journal before its answer leaves, and in the database within about a second.
Whoever asks in between, or while the database is away, is answered from the segments themselves.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from services.core.errors import InvalidInputError
from services.ledger.frames import PREDICTION, Scan, scan
from services.ledger.places import Places
from services.ledger.reading import OPEN, SEALED, Segment
from services.ledger.records import Record, parse

if TYPE_CHECKING:
    from services.ledger.database.feedback import Feedback

# Small pieces: between them other threads run. 16 MiB take about 16 ms of one core.
_CHUNK = 256 * 1024
_MOST_BYTES = 256 * 1024 * 1024
# Most records are far smaller than this; for a larger one its whole segment is read.
_NEAR = 128 * 1024
# From the birth of an id to the end of the segment with its record: the longest deadline, the
# longest segment (an hour each), and an hour for a clock that was set.
_AFTER_SECONDS = 3 * 3600.0
_BEFORE_SECONDS = 3600.0
_MILLISECONDS_DIGITS = 12
_VERSION_DIGIT = 14

# How far segments are indexed, in bytes, by writer and number.
Indexed = Mapping[tuple[str, int], int]


@dataclass(frozen=True, slots=True)
class Found:
    """A prediction on record.

    Attributes:
        run: ids of the experiment and of the serving run in MLflow that hold it, once there is one.
        traced: MLflow has its trace.
        feedback: in the order of arrival; None where the database was not there to ask.
    """

    record: Record
    run: tuple[str, str] | None = None
    traced: bool = False
    feedback: "list[Feedback] | None" = None


def find_in_journal(
    places: Places, prediction_id: str, indexed: Indexed | None = None
) -> Record | None:
    """Return a prediction's record from the journals of this machine, the newest segments first.

    Nothing is sealed, locked or changed. Looks through 256 MiB at most.

    Args:
        prediction_id: in small letters.
        indexed: what of the segments the database has, and so need not be looked through.
    """
    wanted = prediction_id.encode()
    left = _MOST_BYTES
    for segment in _likely(places.journal, born(prediction_id)):
        start = 0 if indexed is None else indexed.get((segment.writer, segment.number), 0)
        if start >= segment.size:
            continue
        with suppress(FileNotFoundError):
            found = _in_segment(segment, wanted, start, left)
            if found is not None:
                return found
        left -= segment.size - start
        if left <= 0:
            break
    return None


def born(prediction_id: str) -> float | None:
    """Return when an id was made, in seconds since 1970; None for one that does not say it."""
    if prediction_id[_VERSION_DIGIT] != "7":
        return None
    return int(prediction_id.replace("-", "")[:_MILLISECONDS_DIGITS], 16) / 1000


def listed(journal: Path) -> Iterator[tuple[Segment, float]]:
    """Yield each segment of this machine, and when it was last written to. Changes nothing."""
    with suppress(FileNotFoundError), os.scandir(journal) as writers:
        for writer in writers:
            with suppress(OSError), os.scandir(writer.path) as files:
                for file in files:
                    path = Path(file.path)
                    if path.suffix not in (OPEN, SEALED) or not path.stem.isdigit():
                        continue
                    with suppress(FileNotFoundError):
                        about = file.stat()
                        sealed = path.suffix == SEALED
                        yield (
                            Segment(writer.name, int(path.stem), path, sealed, about.st_size),
                            about.st_mtime,
                        )


def _likely(journal: Path, time_born: float | None) -> list[Segment]:
    """Return the segments that may hold a record of that time, those written last first."""
    found = []
    for segment, written in listed(journal):
        if time_born is not None:
            begun = segment.size and written >= time_born - _BEFORE_SECONDS
            if not begun or (segment.sealed and written > time_born + _AFTER_SECONDS):
                continue
        found.append((written, segment.writer, segment.number, segment))
    return [item[-1] for item in sorted(found, key=lambda item: item[:3], reverse=True)]


def _in_segment(segment: Segment, wanted: bytes, start: int, most: int) -> Record | None:
    try:
        file = os.open(segment.path, os.O_RDONLY)
    except FileNotFoundError:
        # Sealed since it was listed; or removed, which is the caller's to notice.
        file = os.open(segment.path.with_suffix(SEALED), os.O_RDONLY)
    try:
        for place in _places(file, wanted, start, start + most):
            record = _around(file, place, start)
            if record is not None and record.id.encode() == wanted:
                return record
    finally:
        os.close(file)
    return None


def _places(file: int, wanted: bytes, start: int, end: int) -> Iterator[int]:
    """Yield where the id's bytes stand: in its record, or in another one that mentions it."""
    offset, overlap = start, len(wanted) - 1
    while offset < end:
        data = os.pread(file, _CHUNK, offset)
        place = data.find(wanted)
        while place >= 0:
            yield offset + place
            place = data.find(wanted, place + 1)
        if len(data) < _CHUNK:
            return
        offset += len(data) - overlap
        # A pause, so that a long search holds up nobody: a thread gives way only where it waits.
        time.sleep(0)


def _around(file: int, place: int, start: int) -> Record | None:
    """Return the record whose frame encloses a place, if it is whole."""
    near, everything = max(start, place - _NEAR), os.fstat(file).st_size
    for first, last in ((near, place + _NEAR), (start, everything)):
        data = os.pread(file, last - first, first)
        for frame in scan(data, Scan(end=first), first):
            if frame.end > place:
                if frame.start < place and frame.kind == PREDICTION:
                    with suppress(InvalidInputError):
                        return parse(frame.payload)
                break
        if first == start and last >= everything:
            break
    return None
