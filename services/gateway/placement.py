"""Models that workers predict with, behind the same `predict` as those in this process.

A prediction with such a model is a job of the queue `interactive`, for whose end the caller waits
within its deadline. The worker writes the record; here it is only counted.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from services.core.errors import DeadlineExceededError, InvalidInputError, SlipwayError
from services.core.ids import new_id
from services.core.metrics import Metrics
from services.core.origin import CALLER, REQUEST_ID
from services.core.settings import Settings
from services.engine.engine import Engine
from services.engine.messages import PredictRequest, PredictResult
from services.engine.meters import Meters
from services.engine.source import ModelSource
from services.engine.watch import Watch
from services.families.base import Family
from services.gateway.job_results import failure_of, result_of
from services.ledger.making import Making

if TYPE_CHECKING:
    from services.jobs.desk import JobDesk
    from services.ledger.database.job_rows import Job

_ALL = "*"


def placed(settings: Settings) -> Callable[[str], bool] | None:
    """Return what says of a model's name whether WORKER_MODELS places it on workers."""
    names = frozenset(settings.worker_models)
    if not names:
        return None
    return lambda name: _ALL in names or name in names


class PlacedEngine(Engine):
    """An engine of whose models some are predicted by workers."""

    def __init__(
        self,
        settings: Settings,
        families: Mapping[str, Family],
        metrics: Metrics,
        source: ModelSource | None,
        recorder: Making | None,
        jobs: "JobDesk",
    ) -> None:
        super().__init__(settings, families, metrics, source, recorder, elsewhere=placed(settings))
        self._jobs = jobs
        self._limit = settings.request_timeout
        self._counters = metrics
        self._meters: dict[tuple[str, str], Meters] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def predict(self, request: PredictRequest) -> Coroutine[Any, Any, PredictResult]:
        """Make one prediction, here or through the queue.

        Raises:
            SlipwayError: as `Engine.predict`; 503 also where there is no queue.
        """
        if self.elsewhere.has(request.model):
            return self._counted(request)
        return super().predict(request)

    async def load(self, name: str, version: str | None = None) -> None:
        """See `Engine.load`; workers bring a model into memory by themselves."""
        if self.elsewhere.has(name):
            await self.elsewhere.find(PredictRequest(name, None, version=version))
            return
        await super().load(name, version)

    async def unload(self, name: str, version: str | None = None) -> None:
        """See `Engine.unload`.

        Raises:
            InvalidInputError: nothing of the model is in this process.
        """
        if self.elsewhere.has(name):
            raise InvalidInputError(
                "The model is predicted by workers: nothing of it is in this process.",
                where="name",
                expected="a model that WORKER_MODELS does not name",
            )
        await super().unload(name, version)

    async def _counted(self, request: PredictRequest) -> PredictResult:
        job_id = new_id()
        watch = Watch(self._counters, request.mode, job_id)
        watch.of_model(request.model)
        # The worker has begun, or will: what it comes to is on record.
        watch.phase = "queue"
        try:
            result = await self._through_queue(request, job_id)
        except BaseException as error:
            watch.failed(error)
            raise
        watch.of(self._meters_of(result))
        watch.succeeded(result.timings, [])
        return result

    async def _through_queue(self, request: PredictRequest, job_id: str) -> PredictResult:
        from services.jobs.names import INTERACTIVE, PREDICT
        from services.jobs.submission import NewWork

        asked = self._limit if request.timeout is None else min(request.timeout, self._limit)
        until = time.monotonic() + asked
        await self.elsewhere.find(request)
        work = NewWork(
            INTERACTIVE,
            PREDICT,
            request.model,
            {
                "version": request.version,
                "stage": None if request.stage is None else request.stage.value,
            },
            payload=request.payload,
            family=self.elsewhere.family(request.model),
            id=job_id,
            caller=CALLER.get(),
            request_id=REQUEST_ID.get(),
            ttl=asked,
            mode=request.mode,
        )
        try:
            job, _ = await self._jobs.submit(work)
            job = await self._ended(job, until, asked)
        except (asyncio.CancelledError, DeadlineExceededError):
            # Nobody waits for it any more. It may have been accepted in that very moment.
            self._cancel(job_id)
            raise
        failure = failure_of(job)
        if failure is not None:
            raise failure
        return result_of(job, await self._jobs.result(job))

    async def _ended(self, job: "Job", until: float, seconds: float) -> "Job":
        try:
            async with asyncio.timeout(until - time.monotonic()):
                return await self._jobs.wait(job.id, max(0.001, until - time.monotonic()))
        except (TimeoutError, DeadlineExceededError) as error:
            late = DeadlineExceededError(
                f"The prediction was not ready within {seconds:g} seconds.",
                expected="fewer requests at once, a smaller input, or more workers",
            )
            late.prediction_id = job.id
            raise late from error

    def _cancel(self, job_id: str) -> None:
        async def cancel() -> None:
            with suppress(SlipwayError):
                await self._jobs.cancel(job_id)

        task = asyncio.ensure_future(cancel())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _meters_of(self, result: PredictResult) -> Meters:
        key = result.model.name, result.model.version
        found = self._meters.get(key)
        if found is None:
            found = self._meters[key] = Meters(self._counters, *key)
        return found
