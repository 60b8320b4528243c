"""How many requests one version takes in at once, and when it may leave memory."""

import math
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from services.core.errors import OverloadedError

T = TypeVar("T")

# Weight of the newest run in the average of service times.
_NEWEST = 0.2


class Ticket:
    """A place in a version's line. It is given back once, when the last of its holders lets go.

    A caller may leave while its work is still running, for a running model cannot be stopped;
    the place then stays taken until the work has really ended.
    """

    __slots__ = ("_give_back", "_holders", "_lock", "weight")

    def __init__(self, give_back: Callable[["Ticket"], None]) -> None:
        self.weight = 1
        self._give_back = give_back
        self._holders = 1
        self._lock = threading.Lock()

    def held_by(self, future: "Future[T]") -> "Future[T]":
        """Keep the place taken until `future` is done as well."""
        with self._lock:
            self._holders += 1
        future.add_done_callback(self._let_go_after)
        return future

    def let_go(self) -> None:
        """Stop holding; the last one gives the place back."""
        with self._lock:
            self._holders -= 1
            last = self._holders == 0
        if last:
            self._give_back(self)

    def _let_go_after(self, _: "Future[Any]") -> None:
        self.let_go()


class Admission:
    """Counts who is in. A version that is retired lets nobody in and says when the last has left.

    Args:
        batch: rows that run together.
        waiting: batches that may wait while one runs.
    """

    def __init__(self, batch: int, waiting: int) -> None:
        self._batch = batch
        self._waiting = waiting
        self._places = (waiting + 1) * batch
        self._taken = 0
        self._requests = 0
        self._call_seconds = 0.0
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._retired: Callable[[], None] | None = None
        # Whether anybody waits for it to be idle: telling nobody takes time as well.
        self._awaited = False

    def enter(self, timeout: float) -> Ticket | None:
        """Take a place in line for work that must be done within `timeout` seconds.

        None: the version is on its way out of memory; ask again which one serves.

        Raises:
            OverloadedError: the line is full, or so long that the work would come too late.
        """
        with self._lock:
            if self._retired is not None:
                return None
            expected = self._taken // self._batch * self._call_seconds
            too_late = expected + self._call_seconds > timeout
            # An empty line lets anyone in, for the average may be of worse times.
            if self._taken >= self._places or (self._taken and too_late):
                raise OverloadedError(
                    "Too many requests are waiting for this model.",
                    expected=f"at most {self._places - self._batch} waiting, and a wait below"
                    f" {timeout:g} s",
                    retry_after=max(1, math.ceil(expected)),
                )
            self._taken += 1
            self._requests += 1
        return Ticket(self._leave)

    def widen(self, batch: int) -> None:
        """Let in as many as if batches had at least this many rows."""
        self._places = max(self._places, (self._waiting + 1) * batch)

    def weigh(self, ticket: Ticket, rows: int) -> None:
        """Count a request by its rows, now that they are known; at most as one full batch."""
        weight = max(1, min(rows, self._batch))
        if weight != ticket.weight:
            with self._lock:
                self._taken += weight - ticket.weight
                ticket.weight = weight

    def learn(self, seconds: float) -> None:
        """Remember how long one call of the model took."""
        with self._lock:
            known = self._call_seconds
            self._call_seconds = seconds if not known else known + _NEWEST * (seconds - known)

    def taken(self) -> int:
        """Return how many rows have a place, the running ones included."""
        return self._taken

    def requests(self) -> int:
        """Return how many requests have a place."""
        return self._requests

    def retire(self, left: Callable[[], None], *, only_if_idle: bool = False) -> bool:
        """Let nobody in any more; `left` is called once when the last one has left.

        It may be called from any thread, this one included. Returns False, and does nothing, if
        `only_if_idle` and somebody is in, or if it was retired before.
        """
        with self._lock:
            if self._retired is not None or (only_if_idle and self._requests):
                return False
            self._retired = left
            idle = self._requests == 0
        if idle:
            left()
        return True

    def wait_idle(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds until nobody is in; return whether that is so."""
        with self._idle:
            self._awaited = True
            return self._idle.wait_for(lambda: self._requests == 0, timeout)

    def _leave(self, ticket: Ticket) -> None:
        with self._idle:
            self._taken -= ticket.weight
            self._requests -= 1
            left = self._retired if self._requests == 0 else None
            if left is not None or self._awaited:
                self._idle.notify_all()
        if left is not None:
            left()
