"""One device: a single thread that runs networks on it, and a bounded line before it."""

import math
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from services.core.errors import OverloadedError
from services.engine.workers import Done, Workers

T = TypeVar("T")

# Weight of the newest run in the average of service times.
_NEWEST = 0.2


class Ticket:
    """A place in a lane's line. It is given back once, when the last of its holders lets go.

    A caller may leave while its work is still running, for a running network cannot be stopped;
    the place then stays taken until the work has really ended.
    """

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back = give_back
        self._holders = 1
        self._lock = threading.Lock()

    def held_by(self, future: "Future[Done[T]]") -> "Future[Done[T]]":
        """Keep the place taken until `future` is done as well."""
        with self._lock:
            self._holders += 1
        future.add_done_callback(lambda _: self.let_go())
        return future

    def let_go(self) -> None:
        """Stop holding; the last one gives the place back."""
        with self._lock:
            self._holders -= 1
            last = self._holders == 0
        if last:
            self._give_back()


class Lane:
    """Admission to one device and the thread that runs on it."""

    def __init__(self, device: str, max_waiting: int) -> None:
        self.device = device
        self._places = max_waiting + 1
        self._taken = 0
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._service_seconds = 0.0
        self._workers = Workers(f"lane-{device}", 1)

    def admit(self, timeout: float) -> Ticket:
        """Take a place in line for work that must be done within `timeout` seconds.

        Raises:
            OverloadedError: the line is full, or so long that the work would come too late.
        """
        with self._lock:
            expected = self._taken * self._service_seconds
            too_late = expected + self._service_seconds > timeout
            # An empty line lets anyone in, for the average may be of worse times.
            if self._taken >= self._places or (self._taken and too_late):
                raise OverloadedError(
                    "Too many requests are waiting for this model.",
                    expected=f"at most {self._places - 1} waiting, and a wait below {timeout:g} s",
                    retry_after=max(1, math.ceil(expected)),
                )
            self._taken += 1
        return Ticket(self._give_back)

    def run(self, work: Callable[[], T], deadline: float) -> "Future[Done[T]]":
        """Run `work` on the device's thread after all that came before."""
        future = self._workers.submit(work, deadline=deadline)
        future.add_done_callback(self._learn)
        return future

    def warm(self, work: Callable[[], object]) -> None:
        """Run `work` on the device's thread and wait for it; it says nothing about later runs.

        Raises:
            WorkFailed: it raised; the cause says what.
            CancelledError: the lane was closed first.
        """
        self._workers.submit(work).result()

    def taken(self) -> int:
        """Return how many places are taken, the running one included."""
        return self._taken

    def wait_idle(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds until no place is taken; return whether that is so."""
        with self._idle:
            return self._idle.wait_for(lambda: self._taken == 0, timeout)

    def close(self) -> None:
        """Cancel what waits; what runs goes on to its end."""
        self._workers.close()

    def join(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for the thread to end; return whether it did."""
        return self._workers.join(timeout)

    def _give_back(self) -> None:
        with self._idle:
            self._taken -= 1
            if self._taken == 0:
                self._idle.notify_all()

    def _learn(self, future: "Future[Done[T]]") -> None:
        if future.cancelled() or future.exception() is not None:
            return
        ran = future.result().ran
        with self._lock:
            known = self._service_seconds
            self._service_seconds = ran if not known else known + _NEWEST * (ran - known)
