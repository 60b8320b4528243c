"""The engine: models in memory, and the one predict() that every protocol goes through."""

import asyncio
import threading
import time
from collections.abc import Mapping

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
from services.engine.host import Loaded, ModelHost, State
from services.engine.lane import Lane, Ticket
from services.engine.messages import PredictRequest, PredictResult, Timings
from services.engine.watch import Watch
from services.engine.workers import Workers, WorkFailed
from services.families.base import Family

_log = get_logger(__name__)


class Engine:
    """Loads every family's model in the background and predicts with those that are ready.

    `start`, `begin_shutdown` and `close` are called once each, `predict` from one event loop.
    """

    def __init__(
        self, settings: Settings, families: Mapping[str, Family], metrics: Metrics
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self.hosts = {name: ModelHost(family) for name, family in families.items()}
        self._lanes: dict[str, Lane] = {}
        self._pool: Workers | None = None
        self._loader: threading.Thread | None = None
        self._draining_since: float | None = None
        self._closed = threading.Event()

    def start(self) -> None:
        """Begin loading; returns at once."""
        self._pool = Workers("pool", self._settings.decode_workers)
        self._loader = threading.Thread(target=self._load_all, name="loader", daemon=True)
        self._loader.start()

    @property
    def draining(self) -> bool:
        """Whether a shutdown has begun."""
        return self._draining_since is not None

    def not_ready(self) -> str | None:
        """Return why the service cannot serve now, or None when it can."""
        if self.draining:
            return "The service is shutting down."
        for host in self.hosts.values():
            if host.state is State.FAILED:
                return f"The model {host.name} failed to load: {host.reason}"
            if host.state is not State.READY:
                return f"The model {host.name} is {host.state}."
        return None

    def model_for(self, task: str) -> str:
        """Return the name of the model that serves a task.

        Raises:
            NotFoundError: no family does.
        """
        for host in self.hosts.values():
            if host.task == task:
                return host.name
        raise NotFoundError(f"No model here serves the task {task}.", where="model")

    async def predict(self, request: PredictRequest) -> PredictResult:
        """Make one prediction.

        Cancelling the caller drops the work if it has not started; a network that is already
        running goes on to its end, and keeps its place in line until then.

        Raises:
            NotFoundError: no model has that name.
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
        loaded = self._find(request.model, watch)
        limit = self._settings.request_timeout
        timeout = limit if request.timeout is None else min(request.timeout, limit)
        work = _Work(self._the_pool(), loaded, started + timeout, watch)
        ticket = loaded.lane.admit(timeout)
        try:
            async with asyncio.timeout(timeout) as clock:
                output, timings = await work.run(request.payload, ticket)
        except TimeoutError as error:
            if not clock.expired():  # pragma: no cover - a model's own is wrapped
                raise
            raise DeadlineExceededError(
                f"The prediction was not ready within {timeout:g} seconds.",
                expected="fewer requests at once, a smaller input, or a longer REQUEST_TIMEOUT",
            ) from error
        finally:
            ticket.let_go()
        watch.succeeded(loaded.model, output, timings)
        seconds = time.monotonic() - started
        return PredictResult(prediction_id, loaded.model.info, output, timings, seconds)

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

    def _close(self) -> None:
        begun = self._draining_since or time.monotonic()
        until = begun + self._settings.shutdown_delay + self._settings.shutdown_grace

        def left() -> float:
            # A moment is left even when the grace is used up: threads end in microseconds.
            return max(0.1, until - time.monotonic())

        if self._loader is not None:
            # First, for it may still add a lane.
            self._loader.join(left())
        lanes = list(self._lanes.values())
        for lane in lanes:
            if not lane.wait_idle(left()):
                _log.warning("work abandoned", device=lane.device, places=lane.taken())
            lane.close()
        if self._pool is not None:
            self._pool.close()
        # A model that is still running must keep its memory; the process ends anyway.
        ended = [lane.join(left()) for lane in lanes]
        if all(ended):
            for host in self.hosts.values():
                host.close()
        _log.info("engine closed")

    def _the_pool(self) -> Workers:
        if self._pool is None or self._closed.is_set():
            raise ModelUnavailableError("The service is shutting down.", retry_after=1)
        return self._pool

    def _find(self, name: str, watch: Watch) -> Loaded:
        host = self.hosts.get(name)
        if host is None:
            raise NotFoundError("There is no model of that name.", where="model")
        watch.of_unready(name)
        loaded = host.use()
        watch.of(loaded.model.info)
        return loaded

    def _load_all(self) -> None:
        for host in self.hosts.values():
            if self._closed.is_set():
                return
            self._load(host)

    def _load(self, host: ModelHost) -> None:
        model = host.load(self._settings)
        if model is None:
            return
        info = model.info
        try:
            if self._closed.is_set():
                raise ModelUnavailableError("The service is shutting down.")
            host.warming()
            if info.device not in self._lanes:
                self._lanes[info.device] = Lane(info.device, self._settings.max_queue)
            lane = self._lanes[info.device]
            lane.warm(model.warm)
        # Whatever it was, the other models still want to be loaded.
        except BaseException as error:
            model.close()
            host.fail(error.__cause__ or error)
            return
        self._metrics.model_memory.labels(info.name, info.version).set(info.memory_bytes)
        self._metrics.model_loaded.labels(
            info.name, info.version, info.family, info.task, info.device
        ).set(1)
        host.ready(Loaded(model, lane))


class _Work:
    """The three steps of one prediction, each where it fits."""

    def __init__(self, pool: Workers, loaded: Loaded, deadline: float, watch: Watch) -> None:
        self._pool = pool
        self._loaded = loaded
        self._deadline = deadline
        self._watch = watch

    async def run(self, payload: object, ticket: Ticket) -> tuple[object, Timings]:
        """Return the model's output and the seconds each step took."""
        model, deadline = self._loaded.model, self._deadline
        self._watch.phase = "preprocess"
        job = self._pool.submit(lambda: model.preprocess(payload), deadline=deadline)
        before = await asyncio.wrap_future(ticket.held_by(job))
        self._watch.phase = "inference"
        job = self._loaded.lane.run(lambda: model.infer(before.value), deadline)
        raw = await asyncio.wrap_future(ticket.held_by(job))
        self._watch.phase = "postprocess"
        # Urgent: what is nearly done goes before what only begins.
        job = self._pool.submit(
            lambda: model.postprocess(before.value, raw.value), deadline=deadline, urgent=True
        )
        after = await asyncio.wrap_future(ticket.held_by(job))
        queue = before.waited + raw.waited + after.waited
        return after.value, Timings(queue, before.ran, raw.ran, after.ran)
