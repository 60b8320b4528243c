"""Accepts jobs: all that wait at a time in one transaction, so that many cost little more than one.

A job counts as accepted when its row would outlive a power failure.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from services.core.errors import OverloadedError, SlipwayError
from services.core.logging import get_logger
from services.core.settings import Settings
from services.jobs.publisher import Message, Opener
from services.ledger.database.job_rows import Job, NewJob

if TYPE_CHECKING:
    from services.jobs.limits import Limits
    from services.ledger.database.opening import Database

_log = get_logger(__name__)
# In one transaction, and waiting for the next one.
_AT_ONCE = 256
MOST_WAITING = 1000
_RETRY_AFTER = 1.0
_CLOSING = 10.0
# The job, and whether it is new.
Accepted = tuple[Job, bool]
_Future = asyncio.Future[Accepted]
_Waiting = tuple[NewJob, _Future]


class Committer:
    """One thread that writes what others ask for. Threads may share it."""

    def __init__(
        self,
        settings: Settings,
        database: Opener,
        accepted: Callable[[Sequence[Message]], None],
    ) -> None:
        self._settings = settings
        self._database = database
        self._accepted = accepted
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None

    def submit(self, new: NewJob) -> _Future:
        """Have a job accepted soon; never blocks. Called in an event loop.

        The future's errors: `ConflictError`, `OverloadedError`, `JobsUnavailableError`,
        `LedgerUnavailableError`.

        Raises:
            OverloadedError: too many wait for that already.
        """
        future: _Future = asyncio.get_running_loop().create_future()
        with self._changed:
            if len(self._waiting) >= MOST_WAITING or self._closing:
                raise OverloadedError(
                    "More jobs come than can be written down.", retry_after=_RETRY_AFTER
                )
            self._waiting.append((new, future))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
                self._thread.start()
            self._changed.notify()
        return future

    def close(self) -> None:
        """Write what waits, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(_CLOSING)

    def _run(self) -> None:
        # The database's library comes with the first job.
        from services.jobs.limits import Limits

        limits = Limits(self._settings)
        while batch := self._next():
            try:
                self._write(self._database(), limits, batch)
            except BaseException as error:
                if not isinstance(error, SlipwayError):
                    _log.error("jobs not written", count=len(batch), exc_info=error)
                _answer(batch, [error] * len(batch))

    def _next(self) -> list[_Waiting]:
        """Wait for jobs; none: it is closed. Those that nobody waits for any more are left out."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                count = min(_AT_ONCE, len(self._waiting))
                taken = [self._waiting.popleft() for _ in range(count)]
            wanted = [one for one in taken if not one[1].cancelled()]
            if wanted or not taken:
                return wanted

    def _write(self, database: "Database", limits: "Limits", batch: list[_Waiting]) -> None:
        from services.jobs.accepting import accept

        with database.begin() as connection:
            limits.count(connection)
            answers = accept(connection, limits, [new for new, _ in batch])
        self._accepted(
            [
                (answer[0].id, answer[0].queue)
                for answer in answers
                if not isinstance(answer, SlipwayError) and answer[1]
            ]
        )
        _answer(batch, answers)


def _answer(batch: Sequence[_Waiting], answers: Sequence[Accepted | BaseException]) -> None:
    """Tell those who wait, all of one event loop at once: to wake it up costs a system call."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[_Future, Accepted | BaseException]]] = {}
    for (_, future), answer in zip(batch, answers, strict=True):
        loops.setdefault(future.get_loop(), []).append((future, answer))
    for loop, pairs in loops.items():
        # Nobody waits in a loop that is closed.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_resolve, pairs)


def _resolve(pairs: Sequence[tuple[_Future, Accepted | BaseException]]) -> None:
    for future, answer in pairs:
        if future.done():
            continue
        if isinstance(answer, BaseException):
            future.set_exception(answer)
        else:
            future.set_result(answer)
