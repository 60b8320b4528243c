"""The way into one version: a bounded line, and one thread, or the event loop if it is light."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from services.engine.admission import Admission, Ticket
from services.engine.batch import infer_each
from services.engine.batcher import Batcher
from services.engine.workers import Done
from services.families.base import Model

T = TypeVar("T")


class Lane:
    """Admission to a version and the thread that runs it; `infer` never runs in two at once.

    Args:
        model: whose `infer` runs here.
        batch: rows that may run together.
        waiting: batches that may wait while one runs.
        lock: held around `infer`; models of one accelerator share theirs.
        ran: told the rows of each batch.
    """

    def __init__(
        self,
        name: str,
        model: Model,
        *,
        batch: int,
        waiting: int,
        lock: "threading.Lock | None" = None,
        ran: Callable[[int], None] = lambda rows: None,
    ) -> None:
        self.admission = Admission(batch, waiting)
        self.batch = batch
        self.lock = threading.Lock() if lock is None else lock
        self._model = model
        self.ran = ran
        self._batcher = Batcher(f"lane-{name}", self._infer, batch)

    def submit(
        self, ticket: Ticket, prepared: Any, rows: int, deadline: float
    ) -> "Future[Done[Any]]":
        """Infer on the version's thread; the place stays taken until that has ended."""
        return ticket.held_by(self._batcher.submit(prepared, rows, deadline))

    def call(self, work: Callable[[], T]) -> T:
        """Run something else on the version's thread and wait for it: warming, measuring.

        Raises:
            WorkFailed: it raised; the cause says what.
            CancelledError: the lane was closed first.
        """
        done: Done[T] = self._batcher.call(lambda: self._locked(work)).result()
        return done.value

    def close(self) -> None:
        """Cancel what waits; what runs goes on to its end."""
        self._batcher.close()

    def join(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for the thread to end; return whether it did."""
        return self._batcher.join(timeout)

    def _locked(self, work: Callable[[], T]) -> T:
        with self.lock:
            return work()

    def _infer(self, batch: Sequence[Any], rows: int) -> list[Any]:
        with self.lock:
            started = time.monotonic()
            results = infer_each(self._model, batch)
            self.admission.learn(time.monotonic() - started)
        self.ran(rows)
        return results
