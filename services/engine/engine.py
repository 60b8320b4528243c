"""The engine: models in memory, and the one predict() that every protocol goes through."""

import asyncio
import threading
import time
from collections.abc import Mapping
from typing import Any

from services.core.errors import (
    DeadlineExceededError,
    ModelUnavailableError,
    NotFoundError,
    PredictionFailedError,
)
from services.core.ids import new_id
from services.core.logging import get_logger
from services.core.metrics import Metrics
from services.core.settings import Settings
from services.engine.cache import Answers, open_cache
from services.engine.fleet import Fleet
from services.engine.loader import Loader
from services.engine.messages import PredictRequest, PredictResult
from services.engine.readiness import Readiness
from services.engine.resolver import Resolver
from services.engine.source import ModelSource
from services.engine.status import ModelStatus
from services.engine.steps import Steps
from services.engine.watch import Watch
from services.engine.workers import Workers, WorkFailed
from services.families.base import Family, Model
from services.registry.catalogue import Snapshot

_log = get_logger(__name__)


class Engine:
    """Keeps the versions that should serve in memory and predicts with them.

    `start`, `begin_shutdown` and `close` are called once each, `predict` from one event loop,
    `follow` from any thread.

    Args:
        source: the registry; without one only what comes with Slipway is served.
    """

    def __init__(
        self,
        settings: Settings,
        families: Mapping[str, Family],
        metrics: Metrics,
        source: ModelSource | None = None,
    ) -> None:
        self._settings = settings
        self._families = families
        self._metrics = metrics
        self._source = source
        self._fleet = Fleet(settings, families, metrics, followed=source is None)
        self._loader = Loader(settings, families, metrics, self._fleet, source)
        self._readiness = Readiness(settings, self._fleet, with_source=source is not None)
        self._answers = Answers(open_cache(settings), metrics)
        self._pool: Workers | None = None
        self._finder: Workers | None = None
        self._resolver: Resolver | None = None
        self._draining_since: float | None = None
        self._closed = threading.Event()

    def start(self) -> None:
        """Begin loading; returns at once."""
        self._pool = Workers("pool", self._settings.decode_workers)
        self._finder = Workers("finder", 1)
        self._resolver = Resolver(self._fleet, self._source, self._finder)
        self._loader.start()

    def follow(self, snapshot: Snapshot) -> None:
        """Serve what the registry has in production; returns at once.

        A version that is in memory takes over now, any other once it is loaded, warm and tried.
        A stale snapshot adds models and takes none away.
        """
        self._fleet.follow(snapshot)

    @property
    def draining(self) -> bool:
        """Whether a shutdown has begun."""
        return self._draining_since is not None

    def not_ready(self) -> str | None:
        """Return why the service cannot serve now, or None when it can."""
        if self.draining:
            return "The service is shutting down."
        return self._readiness.not_ready()

    def health(self) -> dict[str, Any]:
        """Return `status` (healthy, degraded, starting, failed, draining), `reason`, `models`.

        `models` has the state of each, and the reason where its wanted version failed.
        """
        if self.draining:
            return {**self._readiness.health(), "status": "draining"}
        return self._readiness.health()

    def statuses(self) -> list[ModelStatus]:
        """Return what is to be said about each model that is known here."""
        with self._fleet.changed:
            return [host.status() for host in self._fleet.hosts.values()]

    def model(self, name: str) -> Model | None:
        """Return the version that serves under a name; None if none does, or none is known."""
        host = self._fleet.hosts.get(name)
        serving = None if host is None else host.serving
        return None if serving is None else serving.model

    def model_for(self, task: str) -> str:
        """Return the name of the model that serves a task, or would.

        Raises:
            NotFoundError: no family does.
        """
        with self._fleet.changed:
            found = [host for host in self._fleet.hosts.values() if host.task == task]
        if found:
            # One that serves goes first.
            return min(found, key=lambda host: host.serving is None).name
        for family in self._families.values():
            if family.task == task:
                return family.model_name or family.name
        raise NotFoundError(f"No model here serves the task {task}.", where="model")

    async def predict(self, request: PredictRequest) -> PredictResult:
        """Make one prediction.

        Cancelling the caller drops the work if it has not started; a network that is already
        running goes on to its end, and keeps its place in line until then.

        Raises:
            NotFoundError: no model has that name, or it has no such version.
            ModelUnavailableError: it is not ready, or the service is shutting down.
            OverloadedError: too many requests wait already.
            InvalidInputError: the model refuses the payload.
            DeadlineExceededError: the answer came too late, or would have.
            PredictionFailedError: the model broke; the log says how.
        """
        prediction_id = new_id()
        watch = Watch(self._metrics, request.mode, prediction_id)
        try:
            return await self._predict(request, prediction_id, watch)
        except WorkFailed as error:
            watch.broke(error)
            failure = PredictionFailedError("The model failed on this input.")
            watch.failed(failure)
            raise failure from error
        except BaseException as error:
            watch.failed(error)
            raise

    async def _predict(
        self, request: PredictRequest, prediction_id: str, watch: Watch
    ) -> PredictResult:
        started = time.monotonic()
        pool, resolver = self._pool, self._resolver
        if pool is None or resolver is None or self._closed.is_set():
            raise ModelUnavailableError("The service is shutting down.", retry_after=1)
        limit = self._settings.request_timeout
        timeout = limit if request.timeout is None else min(request.timeout, limit)
        deadline = started + timeout
        try:
            async with asyncio.timeout(timeout) as clock:
                loaded, ticket, stage = await resolver.enter(request, deadline, watch)
                try:
                    steps = Steps(loaded, ticket, deadline, watch, pool, self._answers)
                    answer = await steps.run(request.payload)
                finally:
                    ticket.let_go()
        except TimeoutError as error:
            if not clock.expired():  # pragma: no cover - a model's own is wrapped
                raise
            raise DeadlineExceededError(
                f"The prediction was not ready within {timeout:g} seconds.",
                expected="fewer requests at once, a smaller input, or a longer REQUEST_TIMEOUT",
            ) from error
        watch.succeeded(answer.timings, answer.confidences)
        return PredictResult(
            id=prediction_id,
            model=loaded.model.info,
            output=answer.output,
            timings=answer.timings,
            seconds=time.monotonic() - started,
            stage=stage,
            cached=answer.cached,
        )

    def begin_shutdown(self) -> None:
        """Say on every readiness check that the end is near; requests are still served."""
        if self._draining_since is None:
            self._draining_since = time.monotonic()
            _log.info("draining")

    async def close(self) -> None:
        """Refuse new work, wait up to SHUTDOWN_GRACE for what runs, and give memory back."""
        self.begin_shutdown()
        self._closed.set()
        await asyncio.to_thread(self._close)
        await self._answers.close()

    def _close(self) -> None:
        begun = self._draining_since or time.monotonic()
        until = begun + self._settings.shutdown_delay + self._settings.shutdown_grace

        def left() -> float:
            # A moment is left even when the grace is used up: threads end in microseconds.
            return max(0.1, until - time.monotonic())

        self._fleet.close()
        if self._finder is not None:
            self._finder.close()
        # What it still loads is put away by itself.
        self._loader.join(left())
        loaded = self._fleet.shelf.all()
        for one in loaded:
            if not one.lane.admission.wait_idle(left()):
                _log.warning("work abandoned", model=one.ref.name, requests=one.in_flight)
            one.lane.close()
        if self._pool is not None:
            self._pool.close()
        for one in loaded:
            # A model that is still running must keep its memory; the process ends anyway.
            if one.lane.join(left()) and not one.in_flight:
                one.model.close()
        _log.info("engine closed")
