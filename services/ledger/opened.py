"""The ledger's database, opened by whoever comes first; a refusal holds for a moment."""

import threading
import time
from typing import TYPE_CHECKING

from services.core.errors import LedgerUnavailableError
from services.core.settings import Settings

if TYPE_CHECKING:
    from services.ledger.database.opening import Database

# Seconds between two tries: each may take as long as a connection does.
_PAUSE = 1.0
_RETRY_AFTER = 5.0


class Opened:
    """Call it for the database. Threads may share it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._database: Database | None = None
        self._refused: tuple[float, LedgerUnavailableError] | None = None

    def __call__(self) -> "Database":
        """Return the database.

        Raises:
            LedgerUnavailableError: it is away, or was a moment ago.
        """
        database = self._ready()
        if database is not None:
            return database
        with self._lock:
            database = self._ready()
            if database is None:
                # Half a second of imports that a door does without until somebody asks.
                from services.ledger.database.opening import open_database

                try:
                    database = self._database = open_database(self._settings)
                except LedgerUnavailableError as error:
                    self._refused = time.monotonic() + _PAUSE, error
                    raise
            return database

    def close(self) -> None:
        """Close it, if it was opened."""
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def _ready(self) -> "Database | None":
        if self._database is None and self._refused is not None:
            until, error = self._refused
            if time.monotonic() < until:
                raise LedgerUnavailableError(
                    error.message, where=error.where, retry_after=_RETRY_AFTER
                )
        return self._database
