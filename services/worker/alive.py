"""Whether this worker still consumes: it sends itself messages, and waits for them.

A Celery worker whose connection to Redis broke at the wrong moment may go on answering pings and
sending heartbeats while it takes no task any more (celery#10205), so none of these proves anything.
What came back through the same event loop does. The tasks' own queue is watched besides: messages
that wait in it while no process works mean that it, too, is consumed no more.

A worker that has not consumed for a minute although Redis answers ends itself; whoever supervises
it starts another.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery import Celery, bootsteps
from kombu.entity import Exchange, Queue
from kombu.messaging import Consumer, Producer

from services.core.logging import get_logger
from services.core.settings import Settings
from services.worker.board import Board, Phase

_log = get_logger(__name__)
# A message to a worker that is gone leaves Redis by itself.
_MESSAGE_LIFE = 600
# A process whose keeper has not run for so long hangs in native code: nothing inside can end it.
_STUCK_SECONDS = 60.0
_SUFFIX = ".alive"
PREFIX = "slipway.alive."
# `check`: a file that was touched within this is of a worker that consumes.
FRESH_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between two messages, and until silence means that nothing is consumed."""

    every: float = 5.0
    silence: float = 60.0


PACE = Pace()


def direct(name: str) -> Queue:
    """Return the queue of one worker: a list in Redis, bound to nothing."""
    return Queue(PREFIX + name, Exchange(""), routing_key=PREFIX + name)


def step(name: str, board: Board) -> type[bootsteps.ConsumerStep]:
    """Return what consumes a worker's messages to itself, on Celery's own event loop."""

    class Alive(bootsteps.ConsumerStep):  # type: ignore[misc]
        """Consumes on a channel of its own: busy processes must not hold it up."""

        def get_consumers(self, channel: Any) -> list[Consumer]:
            """Return the one that there is."""
            return [
                Consumer(
                    channel,
                    queues=[direct(name)],
                    callbacks=[lambda body, message: board.consumed()],
                    no_ack=True,
                    accept=["json"],
                )
            ]

    return Alive


class Pulse(threading.Thread):
    """Sends, and draws the conclusion. It runs in the parent process, beside the event loop."""

    def __init__(
        self,
        app: Celery,
        settings: Settings,
        name: str,
        queue: str,
        board: Board,
        pace: Pace,
        leave: Callable[[], None],
    ) -> None:
        super().__init__(name="pulse", daemon=True)
        self._app = app
        self._name = name
        self._queue = queue
        self._board = board
        self._pace = pace
        self._leave = leave
        self._file = file_of(settings, name)
        self._answers_since: float | None = None
        self._waits_since: float | None = None
        self._ending = threading.Event()

    def run(self) -> None:
        """Go on until the process ends."""
        sweep(self._file)
        while not self._ending.wait(self._pace.every):
            try:
                self._send()
            except Exception as error:
                # Redis is away: that nothing is consumed is no wonder.
                _log.debug("no message to oneself", error=type(error).__name__)
                self._answers_since = self._waits_since = None
            self._conclude()

    def close(self) -> None:
        """Stop, and say so: an orderly end leaves no file behind."""
        self._ending.set()
        with suppress(OSError):
            self._file.unlink(missing_ok=True)

    def _send(self) -> None:
        queue = direct(self._name)
        with self._app.connection_for_write() as connection:
            redis = connection.default_channel.client
            if not redis.llen(queue.name):
                Producer(connection).publish(
                    {}, exchange="", routing_key=queue.name, serializer="json", retry=False
                )
            redis.expire(queue.name, _MESSAGE_LIFE)
            waiting = redis.llen(self._queue)
        now = time.monotonic()
        self._answers_since = self._answers_since or now
        self._waits_since = (self._waits_since or now) if waiting else None

    def _conclude(self) -> None:
        board, pace, now = self._board, self._pace, time.monotonic()
        if board.phase is not Phase.RUNNING:
            return
        if board.silence < 2 * pace.every:
            with suppress(OSError):
                self._file.parent.mkdir(parents=True, exist_ok=True)
                self._file.touch()
        self._end_stuck()
        answers = 0.0 if self._answers_since is None else now - self._answers_since
        waits = 0.0 if self._waits_since is None else now - self._waits_since
        deaf = min(board.silence, answers) > pace.silence
        ignored = min(board.idle, waits) > pace.silence
        if deaf or ignored:
            _log.error("this worker consumes no more; it ends", silence=board.silence, waits=waits)
            self._leave()
            os._exit(1)

    def _end_stuck(self) -> None:
        for process in self._board.stuck(_STUCK_SECONDS):
            _log.error("a process hangs in native code; it is killed", process=process)
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def file_of(settings: Settings, name: str) -> Path:
    """Return the file that a worker touches whenever it has consumed."""
    return settings.data_dir.absolute() / "workers" / f"{name}{_SUFFIX}"


def sweep(own: Path) -> None:
    """Remove what workers of this queue and machine that were killed have left behind."""
    for path in _alike(own):
        with suppress(OSError):
            if path != own and time.time() - path.stat().st_mtime > FRESH_SECONDS:
                path.unlink(missing_ok=True)


def _alike(own: Path) -> list[Path]:
    queue, _, rest = own.name.partition("-")
    host = rest.partition("@")[2]
    return list(own.parent.glob(f"{queue}-*@{host}"))


def check(settings: Settings, queue: str) -> bool:
    """Return whether a worker of a queue on this machine consumes; for health checks."""
    folder = settings.data_dir.absolute() / "workers"
    now = time.time()
    for path in folder.glob(f"{queue}-*@{socket.gethostname()}{_SUFFIX}"):
        with suppress(OSError):
            if now - path.stat().st_mtime < FRESH_SECONDS:
                return True
    return False
