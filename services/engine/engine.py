"""The engine: models in memory, and the one predict() that every protocol goes through."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from services.core.errors import (
    ModelUnavailableError,
    NotFoundError,
)
from services.core.logging import get_logger
from services.core.metrics import Metrics
from services.core.settings import Settings
from services.engine.byhand import ByHand
from services.engine.cache import Answers, open_cache
from services.engine.elsewhere import Elsewhere
from services.engine.failing import Failing
from services.engine.fleet import Fleet
from services.engine.index import index
from services.engine.loaded import Loaded
from services.engine.loader import Loader
from services.engine.messages import PredictRequest, PredictResult
from services.engine.predictions import Predictions
from services.engine.readiness import Readiness
from services.engine.resolver import Resolver
from services.engine.source import ModelSource
from services.engine.status import IndexEntry, ModelStatus
from services.engine.workers import Workers
from services.families.base import Family, Model
from services.ledger.making import Making
from services.registry.catalogue import Snapshot

_log = get_logger(__name__)


class Engine:
    """Keeps the versions that should serve in memory and predicts with them.

    `start`, `begin_shutdown` and `close` are called once each, `predict` from one event loop,
    `follow` from any thread.

    Args:
        source: the registry; without one only what comes with Slipway is served.
        recorder: writes every prediction down; it is opened and closed with the engine.
        elsewhere: says which models other processes predict with: those are known here, and
            never loaded.
    """

    def __init__(
        self,
        settings: Settings,
        families: Mapping[str, Family],
        metrics: Metrics,
        source: ModelSource | None = None,
        recorder: Making | None = None,
        *,
        elsewhere: Callable[[str], bool] | None = None,
    ) -> None:
        self._settings = settings
        self._families = families
        self._metrics = metrics
        self._source = source
        self._recorder = recorder
        self._fleet = Fleet(
            settings, families, metrics, followed=source is None, elsewhere=elsewhere
        )
        metrics.tallies.add(Failing(self._fleet, metrics))
        self._loader = Loader(settings, families, metrics, self._fleet, source)
        self._readiness = Readiness(settings, self._fleet, with_source=source is not None)
        self._answers = Answers(open_cache(settings), metrics)
        self._pool: Workers | None = None
        self._finder: Workers | None = None
        self._resolver: Resolver | None = None
        self._asked: Predictions | None = None
        self._elsewhere: Elsewhere | None = None
        self._draining_since: float | None = None
        self._closed = threading.Event()

    def start(self) -> None:
        """Begin loading; returns at once.

        Raises:
            ConfigurationError: predictions cannot be recorded.
        """
        if self._recorder is not None:
            self._recorder.open()
        self._pool = Workers("pool", self._settings.decode_workers)
        self._finder = Workers("finder", 1)
        self._resolver = Resolver(self._fleet, self._source, self._finder)
        self._asked = Predictions(
            self._settings,
            self._metrics,
            self._resolver,
            self._pool,
            self._answers,
            self._recorder,
        )
        self._elsewhere = Elsewhere(
            self._settings, self._families, self._fleet, self._resolver, self._source
        )
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

    def index(self) -> list[IndexEntry]:
        """Return every version that is in memory, should be, or failed to come there."""
        return index(self._fleet)

    async def load(self, name: str, version: str | None = None) -> None:
        """Bring a version, or the one in production, into memory; see `ByHand.load`."""
        await self._hand().load(name, version)

    async def unload(self, name: str, version: str | None = None) -> None:
        """Take a version, or a whole model, out of memory; see `ByHand.unload`."""
        await self._hand().unload(name, version)

    def _hand(self) -> ByHand:
        if self._resolver is None or self._closed.is_set():
            raise ModelUnavailableError("The service is shutting down.", retry_after=1)
        return ByHand(self._settings, self._fleet, self._resolver)

    def model(self, name: str) -> Model | None:
        """Return the version that serves under a name; None if none does, or none is known."""
        serving = self.in_memory(name)
        return None if serving is None else serving.model

    def in_memory(self, name: str, version: str | None = None) -> Loaded | None:
        """Return a version that is in memory; None for `version`: the one that serves."""
        host = self._fleet.hosts.get(name)
        if host is None:
            return None
        return host.serving if version is None else host.held(version)

    def is_light(self, name: str) -> bool:
        """Whether the version that serves under a name answers within a turn of the event loop."""
        serving = self.in_memory(name)
        return serving is not None and serving.is_light

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

    async def opened(self, request: PredictRequest) -> Model:
        """Return the version that a request is for, in memory; see `Predictions.opened`.

        Of one that is predicted elsewhere only what it takes; see `Elsewhere.described`.
        """
        if self.elsewhere.has(request.model):
            return await self.elsewhere.described(request)
        return await self._predictions().opened(request)

    def predict(self, request: PredictRequest) -> Coroutine[Any, Any, PredictResult]:
        """Make one prediction; see `Predictions.predict`."""
        return self._predictions().predict(request)

    @property
    def elsewhere(self) -> Elsewhere:
        """What is known of models and versions that need not be in memory here.

        Raises:
            ModelUnavailableError: the service is shutting down.
        """
        if self._elsewhere is None or self._closed.is_set():
            raise ModelUnavailableError("The service is shutting down.", retry_after=1)
        return self._elsewhere

    def _predictions(self) -> Predictions:
        if self._resolver is None or self._asked is None or self._closed.is_set():
            raise ModelUnavailableError("The service is shutting down.", retry_after=1)
        return self._asked

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
        if self._recorder is not None:
            await asyncio.to_thread(self._recorder.close)

    def _close(self) -> None:
        begun = self._draining_since or time.monotonic()
        until = begun + self._settings.shutdown_delay + self._settings.shutdown_grace

        def left() -> float:
            # A moment is left even when the grace is used up: threads end in microseconds.
            return max(0.1, until - time.monotonic())

        self._fleet.close()
        if self._finder is not None:
            self._finder.close()
        if self._elsewhere is not None:
            self._elsewhere.close()
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
