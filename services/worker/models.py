"""The models of one worker's child: an engine on an event loop of its own, in a thread."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from services.core.logging import get_logger
from services.core.settings import Settings
from services.families.base import Family
from services.worker.outcome import Interrupted, NewRecord

if TYPE_CHECKING:
    from services.core.metrics import Metrics
    from services.engine.engine import Engine

T = TypeVar("T")

_log = get_logger(__name__)
_CLOSE_SECONDS = 5.0
_IDLE_TICK = 0.02
_LAST_WORDS = 0.2
# Predictions that may stand in one line: a child asks for as many as it took, and no more.
_MOST_WAITING = 1024


class Models:
    """Starts at once, and goes on loading in the background; made with the first job that predicts.

    With MLFLOW_TRACKING_URI it follows that registry as the gateway does, and writes nothing there:
    of the stages that somebody changed the gateways take care.
    """

    def __init__(
        self, settings: Settings, families: Mapping[str, Family], metrics: "Metrics"
    ) -> None:
        from services.engine.engine import Engine
        from services.ledger.jobrecorder import JobRecorder
        from services.registry.follow import Follower

        own = settings.model_copy(
            update={
                # A job has time; whoever waits for it has a deadline of its own.
                "request_timeout": settings.job_timeout,
                "max_queue": max(settings.max_queue, _MOST_WAITING),
                "shutdown_delay": 0.0,
                "shutdown_grace": _CLOSE_SECONDS,
            }
        )
        source = None
        if settings.mlflow_tracking_uri is not None:
            source = _registry(own, families)
        self._recorder = JobRecorder(own, metrics) if settings.ledger else None
        self.engine: Engine = Engine(own, families, metrics, source, self._recorder)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="models", daemon=True)
        self._thread.start()
        self.ask(self._started)
        self._follower: Follower | None = None
        if source is not None:
            self._follower = Follower(
                source, self.engine.follow, metrics, own.registry_poll_seconds
            )
            self._follower.start()

    def ask(self, make: "Callable[[Engine], Coroutine[Any, Any, T]]") -> T:
        """Run a coroutine on the engine's loop, and wait for it here, in the main thread.

        When the wait is interrupted the coroutine is cancelled: see `settled`.
        """
        ended = threading.Event()

        async def run() -> T:
            try:
                return await make(self.engine)
            finally:
                ended.set()

        future: Future[T] = asyncio.run_coroutine_threadsafe(run(), self.loop)
        try:
            return future.result()
        except Interrupted:
            future.cancel()
            # So that what was begun is on record; a loop that is stuck is not waited for.
            ended.wait(_LAST_WORDS)
            raise

    def records(self, prediction_id: str, job: str) -> list[NewRecord]:
        """Return the record of a prediction that has come to its end, as a row; once."""
        from services.ledger.jobrecorder import row

        record = None if self._recorder is None else self._recorder.pop(prediction_id)
        return [] if record is None else [row(record, job)]

    def settled(self, seconds: float) -> bool:
        """Wait until nothing is predicted any more; False: something goes on all the same."""
        until = time.monotonic() + seconds
        while True:
            if self._answers() and not self._predicts():
                return True
            if time.monotonic() > until:
                return False
            time.sleep(_IDLE_TICK)

    def close(self) -> None:
        """Give memory back; within a few seconds."""
        if self._follower is not None:
            self._follower.close(1.0)
        try:
            asyncio.run_coroutine_threadsafe(self.engine.close(), self.loop).result(_CLOSE_SECONDS)
        except Exception:
            _log.warning("engine abandoned")
        self.loop.call_soon_threadsafe(self.loop.stop)

    def _predicts(self) -> bool:
        return any(
            version.in_flight for model in self.engine.statuses() for version in model.versions
        )

    def _answers(self) -> bool:
        """Whether the loop itself is free: models that are quick run on it."""
        seen = threading.Event()
        self.loop.call_soon_threadsafe(seen.set)
        return seen.wait(_IDLE_TICK)

    async def _started(self, engine: "Engine") -> None:
        engine.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()


def _registry(settings: Settings, families: Mapping[str, Family]) -> Any:
    from services.registry.registry import Registry

    class ReadOnly(Registry):
        """Follows, and leaves it to the gateways to write what is to be written."""

        def settle(self) -> bool:
            return False

    return ReadOnly(settings, families)
