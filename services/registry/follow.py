"""Follows the registry: looks at it again and again, and hands on what it sees."""

import random
import threading
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from services.core.errors import SlipwayError
from services.core.metrics import Metrics
from services.registry.catalogue import Snapshot

_JITTER = 0.2
_LONGEST_DELAY = 15.0
# Between two looks, however often somebody wakes us.
_SHORTEST_DELAY = 0.2
# While nothing listens at MLflow's address, a knock so often costs nothing.
_KNOCK_SECONDS = 1.0

_log = structlog.stdlib.get_logger(__name__)


class Source(Protocol):
    """What is followed; the registry is one."""

    def snapshot(self, *, settle: bool = True) -> Snapshot: ...  # noqa: D102

    def settle(self) -> bool: ...  # noqa: D102

    def remembered(self) -> Snapshot | None: ...  # noqa: D102

    def reachable(self) -> bool: ...  # noqa: D102


class Follower:
    """A thread that looks at the registry and calls `on_snapshot`, always from that thread.

    First comes what was remembered, if there is anything; then what MLflow says, at every look,
    changed or not. If neither can be had, an empty and stale snapshot.
    """

    def __init__(
        self,
        registry: Source,
        on_snapshot: Callable[[Snapshot], None],
        metrics: Metrics,
        poll_seconds: float,
    ) -> None:
        self._registry = registry
        self._on_snapshot = on_snapshot
        self._metrics = metrics
        self._poll = poll_seconds
        # Its own: the program's is nobody's to use from a thread of ours.
        self._chance = random.Random()
        self._thread = threading.Thread(target=self._run, name="registry-follower", daemon=True)
        self._awake = threading.Event()
        self._closing = threading.Event()
        self._handed = False
        self._failures = 0
        self._error: str | None = None

    @property
    def error(self) -> str | None:
        """Why the last look failed; None if it did not."""
        return self._error

    def start(self) -> None:
        """Begin."""
        self._metrics.registry_up.set(0)
        self._thread.start()

    def wake(self) -> None:
        """Look now; calls that come close together make one look."""
        self._awake.set()

    def close(self, timeout: float = 5.0) -> None:
        """End, and wait so many seconds for it; a look that hangs is left behind."""
        self._closing.set()
        self._awake.set()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _run(self) -> None:
        self._hand_on(self._remembered())
        while not self._closing.is_set():
            began = time.monotonic()
            self._awake.clear()
            listens = self._look()
            self._wait(listens)
            self._closing.wait(max(0.0, began + _SHORTEST_DELAY - time.monotonic()))

    def _remembered(self) -> Snapshot | None:
        try:
            return self._registry.remembered()
        except Exception:
            _log.exception("what was remembered of the registry cannot be read")
            return None

    def _look(self) -> bool:
        """Look once; return False if nothing even listens at MLflow's address."""
        try:
            snapshot = self._registry.snapshot(settle=False)
        except Exception as error:
            self._failed(error)
            if not self._handed:
                self._hand_on(Snapshot({}, stale=True))
            return self._registry.reachable()
        self._succeeded()
        self._hand_on(snapshot)
        self._settle()
        return True

    def _settle(self) -> None:
        """Write what was changed, now that it is served; then look once more."""
        try:
            if self._registry.settle():
                self._awake.set()
        except SlipwayError:
            _log.debug("stages not settled", exc_info=True)
        except Exception:
            _log.exception("stages could not be settled")

    def _succeeded(self) -> None:
        self._metrics.registry_up.set(1)
        if self._failures:
            _log.info("registry answers again", looks_failed=self._failures)
        self._failures = 0
        self._error = None

    def _failed(self, error: Exception) -> None:
        self._metrics.registry_up.set(0)
        known = isinstance(error, SlipwayError)
        message = error.message if isinstance(error, SlipwayError) else "The registry broke."
        if not self._failures or message != self._error:
            _log.warning("registry does not answer", error=message, exc_info=not known)
        self._failures += 1
        self._error = message

    def _hand_on(self, snapshot: Snapshot | None) -> None:
        if snapshot is None or self._closing.is_set():
            return
        self._handed = True
        try:
            self._on_snapshot(snapshot)
        except Exception:
            _log.exception("what the registry says could not be followed")

    def _wait(self, listens: bool) -> None:
        """Wait until the next look is due, somebody wakes us, or MLflow listens again."""
        delay = self._poll * self._chance.uniform(1 - _JITTER, 1 + _JITTER)
        if self._failures:
            delay = max(delay, min(self._poll * 2.0 ** min(self._failures, 10), _LONGEST_DELAY))
        until = time.monotonic() + delay
        while (left := until - time.monotonic()) > 0:
            if self._awake.wait(left if listens else min(left, _KNOCK_SECONDS)):
                return
            if not listens and self._registry.reachable():
                return
