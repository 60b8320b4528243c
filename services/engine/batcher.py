"""The thread of one version: it takes what waits, as much as fits, and runs it together."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from services.core.errors import DeadlineExceededError, ModelUnavailableError
from services.engine.batch import Failed
from services.engine.workers import Done, as_failure


@dataclass(slots=True, eq=False)
class Item:
    """A prepared payload in line, or `work` of another kind that runs alone."""

    prepared: Any
    rows: int
    deadline: float
    submitted: float
    future: "Future[Any]"
    work: Callable[[], Any] | None = None


class Batcher:
    """A line of prepared payloads and the one daemon thread that runs them in batches.

    When the thread is free it takes everything that waits, up to `batch` rows; a payload of more
    rows runs alone. It never waits for more: while it runs, the next batch gathers by itself, and
    a wait of 1 to 5 ms on top made closed loops no faster, and some slower.

    Args:
        run: called with the payloads of a batch and their rows, gives one result or `Failed` each.
    """

    def __init__(
        self, name: str, run: Callable[[Sequence[Any], int], list[Any]], batch: int
    ) -> None:
        self._run_batch = run
        self._batch = batch
        self._line: deque[Item] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, prepared: Any, rows: int, deadline: float) -> "Future[Done[Any]]":
        """Put a payload in line. `deadline` is a reading of `time.monotonic`.

        Cancelling the future takes it out of the line, unless it is running.

        Raises:
            ModelUnavailableError: the thread has been told to end.
        """
        return self._put(Item(prepared, rows, deadline, time.monotonic(), Future()))

    def call(self, work: Callable[[], Any]) -> "Future[Done[Any]]":
        """Run something else on the thread, alone: warming and measuring."""
        return self._put(Item(None, self._batch, float("inf"), time.monotonic(), Future(), work))

    def close(self) -> None:
        """Take nothing more and cancel what waits; what runs goes on to its end."""
        with self._changed:
            self._closed = True
            left = list(self._line)
            self._line.clear()
            self._changed.notify_all()
        for item in left:
            item.future.cancel()

    def join(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for the thread to end; return whether it did."""
        self._thread.join(max(0.0, timeout))
        return not self._thread.is_alive()

    def _put(self, item: Item) -> "Future[Any]":
        with self._changed:
            if self._closed:
                raise ModelUnavailableError("The service is shutting down.", retry_after=1)
            self._line.append(item)
            self._changed.notify()
        # The future must not refer to the item, or payload and result wait for the collector.
        item.future.add_done_callback(self._forget)
        return item.future

    def _forget(self, future: "Future[Any]") -> None:
        if not future.cancelled():
            return
        with self._changed:
            for item in self._line:
                if item.future is future:
                    self._line.remove(item)
                    return

    def _run(self) -> None:
        while (items := self._take()) is not None:
            running = [item for item in items if _begins(item)]
            if running:
                self._work(running)
            # Without this the last batch's arrays would live until the next one comes.
            del items, running

    def _take(self) -> list[Item] | None:
        """Wait for the next batch; None once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._line or self._closed)
            if self._closed:
                return None
            taken: list[Item] = []
            rows = 0
            while self._line and (not taken or rows + self._line[0].rows <= self._batch):
                alone = self._line[0].work is not None
                if alone and taken:
                    break
                item = self._line.popleft()
                rows += item.rows
                taken.append(item)
                if alone:
                    break
            return taken

    def _work(self, items: list[Item]) -> None:
        started = time.monotonic()
        results = self._results(items)
        ended = time.monotonic()
        for item, result in zip(items, results, strict=True):
            if isinstance(result, Failed):
                item.future.set_exception(result.error)
            else:
                done = Done(result, started - item.submitted, ended - started)
                item.future.set_result(done)

    def _results(self, items: list[Item]) -> list[Any]:
        work = items[0].work
        try:
            if work is not None:
                return [work()]
            rows = sum(item.rows for item in items)
            return self._run_batch([item.prepared for item in items], rows)
        except BaseException as error:
            return [Failed(as_failure(error)) for _ in items]


def _begins(item: Item) -> bool:
    """Whether an item is to run: its caller has not gone, and its deadline has not passed."""
    if not item.future.set_running_or_notify_cancel():
        return False
    if time.monotonic() >= item.deadline:
        item.future.set_exception(DeadlineExceededError("The deadline passed before work began."))
        return False
    return True
