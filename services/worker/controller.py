"""Celery's worker, with an end of our own.

Celery's soft shutdown sleeps its whole timeout inside the signal's handler, even when nothing
runs, and then kills. Here SIGTERM and SIGINT begin a warm shutdown, which ends as soon as all jobs
have; a thread sees to it that this takes no longer than `worker_soft_shutdown_timeout`, by having
the children hand back what is left. A second signal does that at once.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

from celery.apps import worker as celery_worker
from celery.worker import consumer as celery_consumer
from celery.worker import state

from services.core.logging import get_logger
from services.worker.board import Board, Phase

_log = get_logger(__name__)
_TICK = 0.1
_RETRY = 2.0
# So long may it take Celery to leave Redis once nothing runs: that may be away, and waited for.
_LEAVE_SECONDS = 5.0
# So long may handing back take; then the leases run out, which comes to the same, later.
_BACK_SECONDS = 6.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class Consumer(celery_consumer.Consumer):  # type: ignore[misc]
    """Looks for a Redis that is away every few seconds, where Celery would come to wait thirty."""

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, however long that takes."""
        conn.ensure_connection = partial(
            conn.ensure_connection, interval_start=0.5, interval_step=0.5, interval_max=_RETRY
        )
        return super().ensure_connected(conn)


class Worker(celery_worker.Worker):  # type: ignore[misc]
    """A worker that drains.

    Attributes:
        board: shared with its children.
        leaving: called before the process ends without Celery's doing.
    """

    board: Board
    leaving: Callable[[], None] = staticmethod(lambda: None)
    _drain: "_Drain | None" = None

    def install_platform_tweaks(self, worker: Any) -> None:
        """Install our handlers of signals over Celery's."""
        super().install_platform_tweaks(worker)
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """Begin to drain. Runs between two steps of the main thread: it takes no lock."""
        state.should_stop = 0
        if self._drain is None:
            grace = float(self.app.conf.worker_soft_shutdown_timeout)
            self._drain = _Drain(self.board, grace, lambda: self.leaving())
            self._drain.start()
        else:
            self._drain.hurry()


class _Drain(threading.Thread):
    """Bounds the time that an end may take."""

    def __init__(self, board: Board, grace: float, leaving: Callable[[], None]) -> None:
        super().__init__(name="drain", daemon=True)
        self._board = board
        self._until = time.monotonic() + grace
        self._leaving = leaving
        board.phase = Phase.DRAINING

    def hurry(self) -> None:
        """Hand back now."""
        self._until = 0.0

    def run(self) -> None:
        board = self._board
        _log.info("worker stops", running=board.busy)
        free_since: float | None = None
        while True:
            time.sleep(_TICK)
            now = time.monotonic()
            if now > self._until and board.phase is Phase.DRAINING:
                self._until = now
                board.phase = Phase.HANDING_BACK
                _log.info("what runs is handed back", running=board.busy)
            free_since = (free_since or now) if board.busy == 0 else None
            if free_since is not None and now - free_since > _LEAVE_SECONDS:
                self._leave(0)
            if board.phase is Phase.HANDING_BACK and now > self._until + _BACK_SECONDS:
                self._leave(1)

    def _leave(self, code: int) -> None:
        """End although Celery waits for something; the children end with this process."""
        _log.warning("worker ends without Celery's leave", code=code)
        self._leaving()
        os._exit(code)
