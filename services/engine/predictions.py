"""Predictions: from a request to its answer, or to the error that says why there is none."""

import asyncio
import time

from services.core.errors import (
    DeadlineExceededError,
    LedgerFullError,
    PredictionFailedError,
    SlipwayError,
)
from services.core.ids import new_id
from services.core.metrics import Metrics
from services.core.settings import Settings
from services.engine.cache import Answers
from services.engine.messages import PredictRequest, PredictResult
from services.engine.recording import Recording
from services.engine.resolver import Resolver
from services.engine.steps import Steps
from services.engine.watch import Watch
from services.engine.workers import Workers, WorkFailed
from services.families.base import Model
from services.ledger.making import Making


class Predictions:
    """Makes predictions, on one event loop; the engine has one of these from its start."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        resolver: Resolver,
        pool: Workers,
        answers: Answers,
        recorder: Making | None = None,
    ) -> None:
        self._limit = settings.request_timeout
        self._metrics = metrics
        self._resolver = resolver
        self._pool = pool
        self._answers = answers
        self._recorder = recorder

    async def opened(self, request: PredictRequest) -> Model:
        """Return the version that a request is for, brought into memory if it was not there.

        For protocols whose bodies cannot be read without the model's signature.

        Raises:
            SlipwayError: as `predict`, the payload aside.
        """
        plain = request.version is None and request.stage is None
        found = self._resolver.serving(request.model) if plain else None
        if found is not None:
            return found
        watch = Watch(self._metrics, request.mode, "")
        try:
            return await self._open(request, watch)
        except BaseException as error:
            watch.failed(error)
            raise

    async def _open(self, request: PredictRequest, watch: Watch) -> Model:
        timeout = self._limit
        try:
            async with asyncio.timeout(timeout):
                until = time.monotonic() + timeout
                loaded, ticket, _ = await self._resolver.enter(request, until, watch)
                ticket.let_go()
                return loaded.model
        except TimeoutError as error:
            raise DeadlineExceededError(
                f"The model was not in memory within {timeout:g} seconds.",
                expected="another try later: it goes on loading",
            ) from error

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
            LedgerFullError: it could not be recorded.
        """
        prediction_id = request.id or new_id()
        watch = Watch(self._metrics, request.mode, prediction_id)
        recording = Recording(self._recorder, request, prediction_id, watch)
        try:
            recording.check()
            return await self._predict(request, prediction_id, watch, recording)
        except WorkFailed as error:
            failure = PredictionFailedError("The model failed on this input.")
            try:
                await self._failed(failure, watch, recording)
            finally:
                # After the record, whose seconds end with the model; and even if there is none.
                watch.broke(error)
            raise failure from error
        except BaseException as error:
            await self._failed(error, watch, recording)
            raise

    async def _failed(self, error: BaseException, watch: Watch, recording: Recording) -> None:
        try:
            noted = recording.failed(error)
            if noted is not None:
                await noted
        except LedgerFullError as full:
            watch.failed(full)
            raise full from error
        if isinstance(error, SlipwayError) and not isinstance(error, LedgerFullError):
            error.prediction_id = recording.recorded
        watch.failed(error)

    async def _predict(
        self, request: PredictRequest, prediction_id: str, watch: Watch, recording: Recording
    ) -> PredictResult:
        started = time.monotonic()
        limit = self._limit
        timeout = limit if request.timeout is None else min(request.timeout, limit)
        deadline = started + timeout
        entered = self._resolver.at_hand(request, timeout, watch)
        clock: asyncio.Timeout | None = None
        try:
            if entered is None:
                clock = asyncio.timeout(timeout)
                async with clock:
                    entered = await self._resolver.enter(request, deadline, watch)
            loaded, ticket, stage = entered
            recording.entered(loaded, stage)
            try:
                steps = Steps(
                    loaded, ticket, deadline, watch, request.payload, self._pool, self._answers
                )
                answer = await steps.run_light()
                if answer is None:
                    clock = asyncio.timeout(deadline - time.monotonic())
                    async with clock:
                        answer = await steps.run()
                noted = recording.succeeded(answer)
                if noted is not None:
                    await noted
                watch.succeeded(answer.timings, answer.confidences)
            finally:
                ticket.let_go()
        except TimeoutError as error:
            if clock is None or not clock.expired():  # pragma: no cover - a model's own is wrapped
                raise
            raise DeadlineExceededError(
                f"The prediction was not ready within {timeout:g} seconds.",
                expected="fewer requests at once, a smaller input, or a longer REQUEST_TIMEOUT",
            ) from error
        return PredictResult(
            id=prediction_id,
            model=loaded.model.info,
            output=answer.output,
            timings=answer.timings,
            seconds=time.monotonic() - started,
            stage=stage,
            cached=answer.cached,
        )
