"""Predictions: several at once, through the engine's own batching, each with a record."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from services.core.errors import (
    LedgerFullError,
    LedgerUnavailableError,
    ModelUnavailableError,
    OverloadedError,
)
from services.core.logging import get_logger
from services.core.origin import CALLER, REQUEST_ID
from services.engine.messages import PredictRequest, PredictResult
from services.families import discover
from services.jobs import payloads
from services.ledger.database.job_rows import Job
from services.registry.catalogue import Stage
from services.worker.failures import failure
from services.worker.outcome import Done

if TYPE_CHECKING:
    from services.engine.engine import Engine
    from services.worker.child import Child

_log = get_logger(__name__)

# What passes: a model that is loading, an MLflow or a disk that is coming back.
_WAITED_FOR = (ModelUnavailableError, OverloadedError, LedgerFullError, LedgerUnavailableError)
# Between two tries; what is asked is in memory, and costs nothing.
_LOOK_SECONDS = 0.1


def predict(child: "Child", jobs: Sequence[Job], done: dict[str, Done], deadline: float) -> None:
    """Make predictions, and put what came of each into `done` as soon as it is there.

    Args:
        deadline: reading of `time.monotonic` by which all must have ended.
    """
    asked = []
    for job in jobs:
        try:
            asked.append((job, _request(job, child)))
        except Exception as error:
            done[job.id] = Done(error=failure(error, job.id))

    def work(engine: "Engine") -> Coroutine[Any, Any, None]:
        return _all(engine, asked, done, deadline)

    if asked:
        child.models.ask(work)
    for job in jobs:
        if job.id in done:
            done[job.id].records.extend(child.models.records(job.id, job.id))
            _pack(child, job, done[job.id])


def _request(job: Job, child: "Child") -> PredictRequest:
    stage = job.options.get("stage")
    return PredictRequest(
        job.subject,
        payloads.unpack(job, child.blobs),
        version=job.options.get("version"),
        stage=None if stage is None else Stage(stage),
        mode=job.mode,
        id=job.id,
    )


async def _all(
    engine: "Engine",
    asked: list[tuple[Job, PredictRequest]],
    done: dict[str, Done],
    deadline: float,
) -> None:
    async def one(job: Job, request: PredictRequest) -> None:
        # A task has a context of its own, so that these are this job's alone.
        REQUEST_ID.set(job.request_id)
        CALLER.set(job.caller)
        try:
            result = await _patiently(engine, request, deadline)
        except Exception as error:
            done[job.id] = Done(error=failure(error, job.id))
        else:
            done[job.id] = Done(_shown(result))

    await asyncio.gather(*(asyncio.create_task(one(job, request)) for job, request in asked))


async def _patiently(engine: "Engine", request: PredictRequest, deadline: float) -> PredictResult:
    """Predict, and wait for what is not there yet as long as there is time."""
    while True:
        request.timeout = max(0.001, deadline - time.monotonic())
        try:
            return await engine.predict(request)
        except _WAITED_FOR as error:
            passes = error.retry_after is not None
            if not passes or time.monotonic() + _LOOK_SECONDS > deadline:
                raise
        await asyncio.sleep(_LOOK_SECONDS)


def _shown(result: PredictResult) -> dict[str, Any]:
    info, took = result.model, result.timings
    return {
        "output": result.output,
        "model": {
            "name": info.name,
            "version": info.version,
            "family": info.family,
            "task": info.task,
        },
        "stage": result.stage.title,
        "timings": {
            "queue": took.queue,
            "preprocess": took.preprocess,
            "inference": took.inference,
            "postprocess": took.postprocess,
        },
        "seconds": result.seconds,
        "cached": result.cached,
    }


@lru_cache(maxsize=1)
def _families() -> frozenset[str]:
    return frozenset(discover())


def _pack(child: "Child", job: Job, made: Done) -> None:
    """Put the output away, so that the row stays small."""
    if made.result is None:
        return
    family = made.result["model"]["family"]
    try:
        made.result["output"] = payloads.pack_output(
            family if family in _families() else None,
            made.result["output"],
            child.blobs,
            child.settings.job_inline_bytes,
        )
    except Exception as error:
        made.result, made.error = None, failure(error, job.id)
