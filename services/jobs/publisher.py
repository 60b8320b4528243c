"""Takes messages about jobs to the broker, in a thread of its own.

A message that does not arrive is kept and tried again; what is lost all the same, with this
process or for want of room, the reconciler finds in the database.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from services.core.errors import LedgerUnavailableError
from services.core.logging import get_logger
from services.core.settings import Settings

if TYPE_CHECKING:
    from services.jobs.sender import Sender
    from services.ledger.database.opening import Database

_log = get_logger(__name__)
# Id of a job, and the name of its queue.
Message = tuple[str, str]
# In one go, and in memory.
_AT_ONCE = 100
_MOST = 100_000
# Seconds between two tries while the broker is away.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_CLOSING = 5.0


class Opener(Protocol):
    """Opens the database, or returns it."""

    def __call__(self) -> "Database": ...  # noqa: D102


class Publisher:
    """Sends what it is offered, in that order. Threads may share it.

    Attributes:
        away: since when the broker has not answered (seconds of the monotonic clock).
    """

    def __init__(self, settings: Settings, database: Opener) -> None:
        self._settings = settings
        self._database = database
        self._waiting: deque[Message] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None
        self.away: float | None = None

    def offer(self, messages: Iterable[Message]) -> None:
        """Send messages soon. Never blocks."""
        with self._changed:
            room = _MOST - len(self._waiting)
            self._waiting.extend(list(messages)[: max(0, room)])
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self) -> None:
        """Send what waits, if the broker takes it, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(_CLOSING)

    def _run(self) -> None:
        from services.jobs.sender import Sender

        pause = _FIRST_PAUSE
        with Sender(self._settings) as sender:
            while messages := self._next():
                if self._sent(sender, messages):
                    pause = _FIRST_PAUSE
                    continue
                with self._changed:
                    self._waiting.extendleft(reversed(messages))
                    if self._closing:
                        return
                    self._changed.wait_for(self._is_closing, pause * random.uniform(0.5, 1))
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _next(self) -> list[Message]:
        """Wait for messages; none: it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            count = min(_AT_ONCE, len(self._waiting))
            return [self._waiting.popleft() for _ in range(count)]

    def _sent(self, sender: "Sender", messages: list[Message]) -> bool:
        try:
            return self._send(sender, messages)
        except Exception:
            # This thread goes on, whatever it is.
            _log.exception("messages not sent", count=len(messages))
            return False

    def _send(self, sender: "Sender", messages: list[Message]) -> bool:
        if self.away is not None:
            # The reconciler may have sent them meanwhile.
            messages = self._still_wanted(messages)
        error = sender.send(messages)
        if error is not None:
            if self.away is None:
                self.away = time.monotonic()
                _log.warning("broker does not answer", error=error)
            return False
        if self.away is not None:
            _log.info("broker answers again", seconds=round(time.monotonic() - self.away, 1))
            self.away = None
        self._mark([id for id, _ in messages])
        return True

    def _mark(self, ids: list[str]) -> None:
        from services.ledger.database import jobs

        try:
            with self._database().begin(durable=False) as connection:
                jobs.published(connection, ids, round(time.time() * 1e6))
        except LedgerUnavailableError as error:
            # They are sent a second time, then: workers do not mind.
            _log.warning("messages not marked as sent", count=len(ids), error=error.message)

    def _still_wanted(self, messages: list[Message]) -> list[Message]:
        from services.ledger.database import jobs

        try:
            with self._database().reading() as connection:
                wanted = jobs.still_unpublished(connection, [id for id, _ in messages])
        except LedgerUnavailableError:
            return messages
        return [message for message in messages if message[0] in wanted]

    def _is_closing(self) -> bool:
        return self._closing
