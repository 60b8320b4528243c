"""What the database says, for those who cannot wait for it: read by a thread, when somebody asks.

Neither `/metrics` nor anything else on the event loop waits for a database that is slow or away.
"""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from services.core.errors import SlipwayError
from services.core.logging import get_logger
from services.core.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from services.ledger.database.opening import Database

_log = get_logger(__name__)
T = TypeVar("T")


class Glimpse(Generic[T]):
    """Looks when it is asked, at most every few seconds. Threads may share it.

    Args:
        read: what to read; called in a thread, in a transaction.
        nothing: what there is before the first look.
        kept: seconds for which nothing is looked at again.
        forgotten: seconds after which what was seen is `nothing` again.
    """

    def __init__(
        self,
        settings: Settings,
        read: "Callable[[Connection], T]",
        nothing: T,
        *,
        kept: float = 5.0,
        forgotten: float = 300.0,
    ) -> None:
        self._settings = settings
        self._read = read
        self._nothing = nothing
        self._kept = kept
        self._forgotten = forgotten
        self._changed = threading.Condition()
        self._seen = nothing
        self._seen_at = float("-inf")
        self._looked_at = float("-inf")
        self._looking = False
        self._closed = False
        self._database: Database | None = None

    def look(self, patience: float = 0.0) -> T:
        """Return what was seen last; where that is old, have it read anew, and wait so long."""
        until = time.monotonic() + patience
        with self._changed:
            if time.monotonic() - self._looked_at > self._kept and not self._looking:
                self._begin()
            while self._looking and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            old = time.monotonic() - self._seen_at > self._forgotten
            return self._nothing if old else self._seen

    def close(self) -> None:
        """Look no more."""
        with self._changed:
            self._closed = True
            database, self._database = self._database, None
        if database is not None:
            database.close()

    def _begin(self) -> None:
        if not self._closed:
            self._looking = True
            # A thread for each look: there are few, and none that would have to be ended.
            threading.Thread(target=self._look, name="glimpse", daemon=True).start()

    def _look(self) -> None:
        try:
            seen = self._found()
            with self._changed:
                self._seen, self._seen_at = seen, time.monotonic()
        except SlipwayError:
            pass  # the next look may go better
        except Exception as error:  # nobody is there to catch it
            _log.error("the database cannot be looked at", error=type(error).__name__)
        finally:
            with self._changed:
                self._looked_at, self._looking = time.monotonic(), False
                self._changed.notify_all()

    def _found(self) -> T:
        # Half a second of imports that a gateway does without until somebody asks.
        from services.ledger.database.opening import open_database

        database = self._database
        if database is None:
            database = open_database(self._settings)
            with self._changed:
                if self._closed:
                    database.close()
                    return self._seen
                self._database = database
        with database.reading() as connection:
            return self._read(connection)
