"""A stage of the shipper in a thread of its own, so that one that hangs holds up no other."""

import re
import threading
import time
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from services.core.errors import RegistryUnavailableError, SlipwayError
from services.core.logging import get_logger
from services.ledger.shipping.backoff import Backoff

_log = get_logger(__name__)
# Looking for work takes about so small a part of a core where there are thousands of segments; but
# no rest is longer than so many usual ones.
_IDLE_SHARE = 0.02
_IDLE_MOST = 4
_STATUS_SECONDS = 1.0
_MESSAGE_CHARACTERS = 300
# Differs from try to try: <HTTPConnection object at 0x7f…>.
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")
# What is to be expected of networks, disks and servers; everything else leaves a traceback.
_EXPECTED = (SlipwayError, OSError, httpx.HTTPError)


class Stage(Protocol):
    """One thing that is done with records. Only its own thread calls it."""

    @property
    def name(self) -> str:
        """What it is called in the status and in the log."""

    def step(self) -> bool:
        """Do a part of the work, a second's worth at most; True: there is more at once.

        Raises:
            Exception: not now; it is asked again later, and begins where it was.
        """

    def status(self) -> dict[str, Any]:
        """Return its numbers for status.json."""

    def close(self) -> None:
        """Let go of what it holds."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a stage does not get on, and since when (seconds since 1970)."""

    message: str
    since: float
    # Nothing answers at MLflow's address, or not as MLflow would.
    mlflow_away: bool = False


class Lane:
    """Runs one stage until it is told to stop: again at once, after a pause, or after a back-off.

    Attributes:
        failure: what stopped its last step; None: it went well.
        numbers: what the stage said of itself last.
    """

    def __init__(self, stage: Stage, idle_seconds: float, stop: threading.Event) -> None:
        self.name = stage.name
        self.failure: Failure | None = None
        self.numbers: dict[str, Any] = {}
        self._stage = stage
        self._idle = idle_seconds
        self._stop = stop
        self._wake = threading.Event()
        self._backoff = Backoff()
        self._looked = float("-inf")
        self._thread = threading.Thread(target=self._run, name=f"ledger-{stage.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Let it wait no longer: for its end, or because things have changed."""
        self._wake.set()

    def join(self, seconds: float) -> bool:
        """Wait for its end, once it was told to stop; return whether it came."""
        self._thread.join(max(0.0, seconds))
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            # Before the step: who wakes it during the step means what comes after.
            self._wake.clear()
            wait = self._step()
            if wait > 0 and not self._stop.is_set():
                self._wake.wait(wait)
        try:
            self._stage.close()
        except Exception:
            _log.exception("a stage did not close", stage=self.name)

    def _step(self) -> float:
        """Do one step; return the seconds until the next."""
        began = time.thread_time()
        try:
            again = self._stage.step()
        except Exception as error:
            wait = self._failed(error)
        else:
            self._succeeded()
            spent = time.thread_time() - began
            rest = min(spent / _IDLE_SHARE, _IDLE_MOST * self._idle)
            wait = 0.0 if again else max(self._idle, rest)
        self._look()
        return wait

    def _failed(self, error: Exception) -> float:
        message = describe(error)
        before = self.failure
        if before is None or before.message != message:
            _log.warning(
                "shipping waits",
                stage=self.name,
                error=message,
                exc_info=None if isinstance(error, _EXPECTED) else error,
            )
        away = isinstance(error, RegistryUnavailableError | httpx.TransportError)
        self.failure = Failure(message, time.time() if before is None else before.since, away)
        return self._backoff.next()

    def _succeeded(self) -> None:
        self._backoff.reset()
        if self.failure is not None:
            seconds = round(time.time() - self.failure.since, 1)
            self.failure = None
            _log.info("shipping goes on", stage=self.name, after_seconds=seconds)

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < _STATUS_SECONDS:
            return
        self._looked = now
        try:
            self.numbers = self._stage.status()
        except Exception as error:
            _log.debug("a stage has no numbers", stage=self.name, error=describe(error))


def describe(error: BaseException) -> str:
    """Return an error in one line that is the same for the same cause."""
    text = error.message if isinstance(error, SlipwayError) else f"{type(error).__name__}: {error}"
    return _ADDRESS.sub("0x…", " ".join(text.split()))[:_MESSAGE_CHARACTERS]
