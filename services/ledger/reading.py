"""Reading the journals of this machine: whose segments there are, and what stands in them."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from services.ledger.frames import MAX_PAYLOAD, PREDICTION, Scan, scan

OPEN, SEALED, LOCK = ".open", ".log", "lock"
_CHUNK = 4 * 1024 * 1024
# A writer makes its folder in a moment.
_MAKING_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of a journal. A sealed one never changes again; `size` in bytes when it was listed."""

    writer: str
    number: int
    path: Path
    sealed: bool
    size: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A record as bytes, and where its frame lies in the segment."""

    payload: bytes
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """What was read of a segment.

    Attributes:
        records: in the order in which they were written.
        next_offset: where to go on.
        damaged: bytes that belong to no record.
        finished: there is nothing behind `next_offset`, and never will be.
    """

    records: list[Entry]
    next_offset: int
    damaged: int
    finished: bool


def segments(journal: Path) -> list[Segment]:
    """Return every segment, by writer and number, after sealing what dead writers left open."""
    found: list[Segment] = []
    with suppress(FileNotFoundError):
        for folder in sorted(os.scandir(journal), key=lambda entry: entry.name):
            if not folder.is_dir():
                continue
            if folder.name.startswith("."):
                # Still being made, or its maker died just then.
                with suppress(FileNotFoundError):
                    if time.time() - folder.stat().st_mtime > _MAKING_SECONDS:
                        _of_writer(Path(folder.path))
                continue
            found += _of_writer(Path(folder.path))
    return found


def read(segment: Segment, offset: int, most_bytes: int = _CHUNK) -> Chunk:
    """Return the records behind an offset, from about `most_bytes` of the file.

    Raises:
        FileNotFoundError: the segment was removed meanwhile.
    """
    with _opened(segment).open("rb") as file:
        file.seek(offset)
        data = file.read(most_bytes)
        state = Scan(end=offset)
        frames = list(scan(data, state, offset))
        whole = len(data) < most_bytes
        if not frames and not whole:
            # A record of more than `most_bytes`, or damage: look further.
            data += file.read(MAX_PAYLOAD)
            whole = len(data) < most_bytes + MAX_PAYLOAD
            state = Scan(end=offset)
            frames = list(scan(data, state, offset))
    records = [
        Entry(frame.payload, frame.start, frame.end) for frame in frames if frame.kind == PREDICTION
    ]
    if whole and segment.sealed:
        # Nothing follows: what is no frame was torn when its writer died.
        return Chunk(records, offset + len(data), state.damaged + state.rest, finished=True)
    return Chunk(records, state.end, state.damaged, finished=False)


def remove(segment: Segment) -> None:
    """Delete a segment, and its writer's folder when that was the last of a dead one."""
    segment.path.unlink(missing_ok=True)
    folder = segment.path.parent
    if any(folder.glob(f"*{SEALED}")) or any(folder.glob(f"*{OPEN}")):
        return
    with _claimed(folder) as dead:
        if dead:
            _remove_empty(folder)


def _opened(segment: Segment) -> Path:
    """Return where the segment lies now: it may have been sealed since it was listed."""
    if segment.path.exists():
        return segment.path
    return segment.path.with_suffix(SEALED)


def _of_writer(folder: Path) -> list[Segment]:
    names = _names(folder)
    if not names or any(name.endswith(OPEN) for name in names):
        with _claimed(folder) as dead:
            if dead:
                for name in names:
                    if name.endswith(OPEN):
                        path = folder / name
                        path.rename(path.with_suffix(SEALED))
                if not names:
                    _remove_empty(folder)
        names = _names(folder)
    found = []
    for name in names:
        path = folder / name
        with suppress(FileNotFoundError):
            size = path.stat().st_size
            sealed = path.suffix == SEALED
            found.append(Segment(folder.name, int(path.stem), path, sealed, size))
    return found


def _names(folder: Path) -> list[str]:
    try:
        names = [entry.name for entry in os.scandir(folder)]
    except FileNotFoundError:
        return []
    return sorted(
        name for name in names if name.endswith((OPEN, SEALED)) and name.partition(".")[0].isdigit()
    )


@contextmanager
def _claimed(folder: Path) -> Iterator[bool]:
    """Hold a writer's lock for the block; False where the writer lives, or nothing can be held."""
    try:
        lock = os.open(folder / LOCK, os.O_RDWR)
    except OSError:
        # Between making its folder and its lock, or already removed.
        yield False
        return
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
    finally:
        os.close(lock)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        (folder / LOCK).unlink(missing_ok=True)
        folder.rmdir()
