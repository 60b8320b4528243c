"""How much of the disk the journal may take, and whether there is room for the next record."""

import os
import threading
import time
from contextlib import suppress

from services.core.errors import LedgerFullError
from services.core.logging import get_logger
from services.core.settings import Settings
from services.ledger.places import Places

_log = get_logger(__name__)
# What must be free on the disk beside the journal's own bound, so that what was begun can end.
_SPARE_BYTES = 4 * 1024 * 1024
_RETRY_SECONDS = 5.0


class Space:
    """Bytes that all journals of this machine take. Safe to use from several threads.

    Attributes:
        full: why no record may be begun now; None: there is room.
    """

    def __init__(self, settings: Settings) -> None:
        self._places = Places(settings.data_dir)
        self._most = settings.ledger_max_bytes
        self._lock = threading.Lock()
        self._used = 0
        self._failed: str | None = None
        self.full: str | None = None

    @property
    def used(self) -> int:
        """Bytes taken, by the last look and what was written here since."""
        return self._used

    def check(self) -> None:
        """Go on if there is room.

        Raises:
            LedgerFullError: there is none.
        """
        if self.full is not None:
            raise LedgerFullError(
                f"Predictions cannot be recorded now: {self.full}.", retry_after=_RETRY_SECONDS
            )

    def took(self, count: int) -> None:
        """Note that the journal grew."""
        self._used += count
        if self._used > self._most and self.full is None:
            self._decide()

    def failed(self, error: OSError | None) -> None:
        """Note that the disk refused to take more; the next look finds out whether it does."""
        self._failed = "the disk is full" if error is None else f"the disk says {error.strerror}"
        self._decide()

    def look(self) -> None:
        """Find out how things are; called every second by the journal's thread."""
        with self._lock:
            self._used = _size(self._places)
            if self._failed is not None and _has_room(self._places):
                self._failed = None
        self._decide()

    def _decide(self) -> None:
        full = self._failed
        if full is None and self._used > self._most:
            full = f"{self._used} bytes wait for MLflow, and LEDGER_MAX_BYTES is {self._most}"
        if full != self.full and (full is None or self.full is None):
            _log.warning("journal full" if full else "journal has room again", reason=full)
        self.full = full


def _size(places: Places) -> int:
    total = 0
    with suppress(FileNotFoundError):
        for folder in os.scandir(places.journal):
            with suppress(FileNotFoundError, NotADirectoryError):
                for entry in os.scandir(folder.path):
                    with suppress(FileNotFoundError):
                        total += entry.stat().st_size
    return total


def _has_room(places: Places) -> bool:
    """Try it: a quota or a limit shows in no figure."""
    probe = places.journal / f".probe-{os.getpid()}-{time.monotonic_ns()}"
    try:
        with probe.open("wb") as file:
            file.write(bytes(64 * 1024))
            file.flush()
            os.fdatasync(file.fileno())
        room = os.statvfs(places.journal)
        return room.f_bavail * room.f_frsize > _SPARE_BYTES
    except OSError:
        return False
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
