"""Writes down every prediction of a gateway before it is answered."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from services.core.errors import LedgerFullError
from services.core.metrics import Metrics
from services.core.origin import CALLER, REQUEST_ID
from services.core.settings import Settings
from services.ledger.journal import Journal, confirmed
from services.ledger.making import Made, Making

# Longest that an answer waits for its picture or its long values to be kept, in seconds.
_PATIENCE = 10.0
_THREADS = 2


class Recorder(Making):
    """The gateway's way into the ledger: a journal. `open` and `close` are called once each."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        super().__init__(settings)
        self._settings = settings
        self._metrics = metrics
        self._refuses = settings.ledger_when_full == "refuse"
        self._journal: Journal | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._unfinished: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Begin a journal.

        Raises:
            ConfigurationError: it cannot be written.
        """
        self._journal = Journal(self._settings)
        self._pool = ThreadPoolExecutor(_THREADS, "ledger-blobs")

    def close(self) -> None:
        """End it; what was recorded is on the disk."""
        if self._pool is not None:
            self._pool.shutdown()
        if self._journal is not None:
            self._journal.close()

    def check(self) -> None:
        """Go on if there is room for a record, or if what has no room may be dropped.

        Raises:
            LedgerFullError: there is none.
        """
        if self._journal is not None and self._refuses:
            self._journal.space.check()

    def leave(self, made: Made) -> None:
        """Write down a prediction that nobody waits for any more."""
        try:
            left = self.record(made)
        except LedgerFullError:
            return
        if left is not None:
            task = asyncio.ensure_future(_quietly(left))
            self._unfinished.add(task)
            task.add_done_callback(self._unfinished.discard)

    def _append(self, made: Made, encoded: bytes) -> Awaitable[None] | None:
        if self._journal is None:
            return None
        try:
            if self._journal.space.full is not None:
                self._journal.space.check()
            written = self._journal.append(encoded)
        except LedgerFullError:
            if self._refuses:
                raise
            self._metrics.ledger_dropped.labels("full").inc()
            return None
        return None if written is None else confirmed(written)

    def _heavy(self, made: Made) -> Coroutine[Any, Any, None]:
        # Read here: the work below runs in a thread.
        origin = REQUEST_ID.get(), CALLER.get()

        def prepare() -> bytes:
            tokens = REQUEST_ID.set(origin[0]), CALLER.set(origin[1])
            try:
                return self._whole(made)
            finally:
                REQUEST_ID.reset(tokens[0])
                CALLER.reset(tokens[1])

        return self._heavily(made, prepare)

    async def _heavily(self, made: Made, prepare: Callable[[], bytes]) -> None:
        if self._pool is None:
            return
        work = asyncio.get_running_loop().run_in_executor(self._pool, prepare)
        try:
            async with asyncio.timeout(_PATIENCE):
                encoded = await asyncio.shield(work)
        except TimeoutError as error:
            raise LedgerFullError(
                "The prediction cannot be recorded now: the disk is too slow.", retry_after=5
            ) from error
        written = self._append(made, encoded)
        if written is not None:
            await written


async def _quietly(left: Awaitable[None]) -> None:
    try:
        await left
    except LedgerFullError:
        return
