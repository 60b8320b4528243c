"""The journal: what one process appends its records to, before their answers leave.

Each record is one write(2) to the end of a segment file: from then on the death of the process
cannot lose it. A thread has the disk confirm what was written (`LEDGER_SYNC_SECONDS`), ends
segments that are old enough, and watches the bound. Measured against SQLite and against writing
many at once: `benchmarks/records.py --journal`, docs/decisions/0015-the-journal.md.
"""

import asyncio
import errno
import fcntl
import os
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

import orjson

from services.core.errors import ConfigurationError, LedgerFullError
from services.core.ids import new_id
from services.core.logging import get_logger
from services.core.settings import Settings
from services.ledger.frames import HEADER, PREDICTION, encode
from services.ledger.places import Places
from services.ledger.reading import LOCK, OPEN, SEALED
from services.ledger.space import Space

_log = get_logger(__name__)
_JOIN_SECONDS = 10.0
_SPACE_SECONDS = 1.0


class Journal:
    """Appends records, from any thread. Opened once, closed once.

    Raises:
        ConfigurationError: its folder cannot be made or written.
    """

    def __init__(self, settings: Settings) -> None:
        self.space = Space(settings)
        self._strict = settings.ledger_durability == "strict"
        self._sync_seconds = settings.ledger_sync_seconds
        self._most_bytes = settings.ledger_segment_bytes
        self._most_seconds = settings.ledger_segment_seconds
        self._lock = threading.Lock()
        self._number = 0
        self._file = -1
        self._size = 0
        self._records = 0
        self._began = 0.0
        # The last write failed: what is in the file now may end in the middle of a record.
        self._torn = False
        # What the disk has not confirmed: files that were ended, and who waits.
        self._ended: list[int] = []
        self._waiting: list[Future[None]] = []
        self._dirty = False
        # Whether the disk has confirmed the segment's name.
        self._named = False
        self._wake = threading.Event()
        self._closing = False
        self.writer = new_id()
        try:
            self._folder, self._held = make_folder(Places(settings.data_dir).journal, self.writer)
            self._begin()
        except OSError as error:
            raise _unwritable(error) from error
        self._thread = threading.Thread(target=self._run, name="ledger-sync", daemon=True)
        self._thread.start()

    def append(self, payload: bytes) -> "Future[None] | None":
        """Write a record down; None: done, else to be waited for (`LEDGER_DURABILITY=strict`).

        Raises:
            LedgerFullError: it could not be written; the journal is as before.
        """
        frame = encode(PREDICTION, payload)
        with self._lock:
            if self._torn or (self._size + len(frame) > self._most_bytes and self._records):
                self._turn()
            self._write(frame)
            if not self._records:
                self._began = time.monotonic()
            self._records += 1
            self._dirty = True
            if not self._strict:
                return None
            written: Future[None] = Future()
            self._waiting.append(written)
        self._wake.set()
        return written

    def close(self) -> None:
        """Have the disk confirm everything, seal the segment and let go of the folder."""
        self._closing = True
        self._wake.set()
        self._thread.join(_JOIN_SECONDS)
        with self._lock:
            if self._file >= 0:
                self._seal()
            ended, self._ended = self._ended, []
        for file in ended:
            with suppress(OSError):
                os.fdatasync(file)
            os.close(file)
        if self._held >= 0:
            os.close(self._held)
            self._held = -1

    def _write(self, frame: bytes) -> None:
        try:
            if self._file < 0:
                self._begin()
            written = os.write(self._file, frame)
        except OSError as error:
            self._torn = True
            self.space.failed(error)
            raise _full() from error
        if written != len(frame):
            # The disk, or a quota, ended in the middle of it.
            self._torn = True
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
            self.space.failed(None)
            raise _full()
        self._size += written
        self.space.took(written)

    def _begin(self) -> None:
        """Open the next segment."""
        self._number += 1
        header = orjson.dumps({"writer": self.writer, "segment": self._number, "pid": os.getpid()})
        path = self._folder / f"{self._number:08d}{OPEN}"
        file = -1
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)
            self._size = _write_whole(file, encode(HEADER, header))
        except OSError as error:
            if file >= 0:
                # A full disk has room for the name and not for the bytes.
                os.close(file)
                path.unlink(missing_ok=True)
            self._number -= 1
            self.space.failed(error)
            raise
        self._file, self._records = file, 0
        self._torn, self._named = False, False

    def _turn(self) -> None:
        """Go on in another file."""
        try:
            if self._file >= 0:
                self._seal()
            self._begin()
        except OSError as error:
            raise _full() from error

    def _seal(self) -> None:
        """Give the segment the name of one that never changes again."""
        path = self._folder / f"{self._number:08d}{OPEN}"
        if self._records:
            path.rename(path.with_suffix(SEALED))
        else:
            path.unlink(missing_ok=True)
        self._ended.append(self._file)
        self._file = -1

    def _run(self) -> None:
        space_due = 0.0
        while True:
            self._wake.wait(self._sync_seconds)
            self._wake.clear()
            try:
                self._sync()
                self._end_by_age()
                if time.monotonic() >= space_due:
                    self.space.look()
                    space_due = time.monotonic() + _SPACE_SECONDS
            except Exception:
                _log.exception("journal upkeep failed")
            if self._closing:
                self._sync()
                return

    def _sync(self) -> None:
        """Have the disk confirm what was written until now, and tell those who wait for it."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            ended, self._ended = self._ended, []
            dirty, self._dirty = self._dirty, False
            # A copy: the file may be ended and closed while the disk works.
            files = [*ended, os.dup(self._file)] if dirty and self._file >= 0 else ended
            if files and not self._named:
                files.append(os.open(self._folder, os.O_RDONLY))
                self._named = True
        error = self._confirm(files)
        for future in waiting:
            if future.cancelled():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(_full())

    def _confirm(self, files: list[int]) -> OSError | None:
        error: OSError | None = None
        for file in files:
            try:
                os.fdatasync(file)
            except OSError as failure:
                error = failure
                _log.error("the disk does not confirm records", error=failure.strerror)
                self.space.failed(failure)
            finally:
                os.close(file)
        return error

    def _end_by_age(self) -> None:
        with self._lock:
            old = time.monotonic() - self._began >= self._most_seconds
            if self._records and old and self._file >= 0:
                with suppress(LedgerFullError):
                    self._turn()


def check_writable(settings: Settings) -> None:
    """Go on if a journal can be begun, before anything else is.

    Raises:
        ConfigurationError: it cannot.
    """
    journal = Places(settings.data_dir).journal
    probe = journal / f".probe-{new_id()}"
    try:
        journal.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise _unwritable(error) from error


async def confirmed(written: "Future[None]") -> None:
    """Wait until the disk has confirmed a record.

    Raises:
        LedgerFullError: it did not.
    """
    await asyncio.shield(asyncio.wrap_future(written))


def _unwritable(error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"The journal of predictions cannot be written: {error.strerror}.",
        where="DATA_DIR",
        expected="a folder that this process may write to, or LEDGER=false",
    )


def _write_whole(file: int, data: bytes) -> int:
    written = os.write(file, data)
    if written != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return written


def _full() -> LedgerFullError:
    return LedgerFullError(
        "The prediction cannot be recorded now: the disk takes no more.", retry_after=5
    )


def make_folder(journal: Path, writer: str) -> tuple[Path, int]:
    """Make a writer's folder, with its lock already held when it appears under its name.

    Raises:
        OSError: it cannot be made.
    """
    journal.mkdir(parents=True, exist_ok=True)
    draft, folder = journal / f".{writer}", journal / writer
    draft.mkdir()
    lock = os.open(draft / LOCK, os.O_RDWR | os.O_CREAT, 0o640)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        draft.rename(folder)
    except OSError:
        os.close(lock)
        raise
    return folder, lock
