"""Segments of a journal that the shipper itself writes: one writer, used by one thread."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import orjson

from services.ledger.frames import HEADER, PREDICTION, encode
from services.ledger.journal import make_folder
from services.ledger.reading import OPEN, SEALED, Segment


class OwnSegments:
    """Appends records to a segment until it is sealed, and then to the next one.

    Attributes:
        writer: the folder's name; its lock is held as long as the segments are this one's.
        number: of the segment that is open, or was open last.
        size: its bytes, all of them confirmed by the disk.

    Raises:
        OSError: the folder cannot be made.
    """

    def __init__(self, journal: Path, writer: str) -> None:
        self.writer = writer
        self.number = 0
        self.size = 0
        self._folder, self._lock = make_folder(journal, writer)
        self._file = -1
        self._records = 0
        self._began = 0.0
        # The last write failed: what lies behind `size` is no record.
        self._torn = False
        _sync(journal)

    def begin(self) -> int:
        """Return the number of the open segment; it is made where there is none.

        Raises:
            OSError: the disk takes no more.
        """
        if self._file >= 0:
            return self.number
        self.number += 1
        path = self._path()
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)
        head = {"writer": self.writer, "segment": self.number, "pid": os.getpid()}
        try:
            self.size = _write(file, encode(HEADER, orjson.dumps(head)))
            os.fdatasync(file)
            _sync(self._folder)
        except OSError:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        self._file, self._records, self._torn = file, 0, False
        return self.number

    def append(self, payloads: Sequence[bytes]) -> None:
        """Write records down; the disk has confirmed them on return.

        Raises:
            OSError: it takes no more; none of them counts until `settled` says what does.
        """
        self._torn = True
        try:
            written = _write(self._file, b"".join(encode(PREDICTION, one) for one in payloads))
            os.fdatasync(self._file)
        except OSError:
            # What the disk did not confirm once it may confirm falsely the next time.
            with suppress(OSError):
                os.ftruncate(self._file, self.size)
            raise
        if not self._records:
            self._began = time.monotonic()
        self._records += len(payloads)
        self.size += written
        self._torn = False

    def settled(self) -> None:
        """Go on after an error: what the segment holds now is what counts.

        Raises:
            OSError: it cannot be sealed.
        """
        if self._torn:
            self._records = max(1, self._records)
            self.seal()

    def due(self, most_bytes: int, most_seconds: float) -> bool:
        """Whether the open segment is large or old enough to be sealed."""
        if self._file < 0 or not self._records:
            return False
        return self.size >= most_bytes or time.monotonic() - self._began >= most_seconds

    def seal(self) -> None:
        """Give the open segment the name of one that never changes again.

        Raises:
            OSError: it cannot be renamed.
        """
        if self._file < 0:
            return
        path = self._path()
        if self._records:
            path.rename(path.with_suffix(SEALED))
        else:
            path.unlink(missing_ok=True)
        os.close(self._file)
        self._file, self._torn = -1, False

    def close(self) -> None:
        """Seal it, and let go of the folder.

        Raises:
            OSError: it cannot be sealed.
        """
        self.seal()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _path(self) -> Path:
        return self._folder / f"{self.number:08d}{OPEN}"


def confirm(segment: Segment) -> None:
    """Have the disk confirm a segment, whoever wrote it.

    Raises:
        FileNotFoundError: it is not there.
    """
    try:
        _sync(segment.path)
    except FileNotFoundError:
        _sync(segment.path.with_suffix(SEALED))
    _sync(segment.path.parent)
    _sync(segment.path.parent.parent)


def _write(file: int, data: bytes) -> int:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]
    return len(data)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
