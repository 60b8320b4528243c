"""What came of a job that made a prediction: as the engine itself would have returned it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from services.core import errors
from services.core.errors import (
    ClientGoneError,
    DeadlineExceededError,
    PredictionFailedError,
    SlipwayError,
)
from services.engine.messages import PredictResult, Timings
from services.engine.status import WORKERS
from services.families.base import ModelInfo
from services.gateway.job_words import CANCELED, EXPIRED, SUCCEEDED, status_of
from services.registry.stages import parse_stage

if TYPE_CHECKING:
    from services.ledger.database.job_rows import Job

_KINDS: dict[str, type[SlipwayError]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, SlipwayError)
}
_PHASES = ("queue", "preprocess", "inference", "postprocess")


def result_of(job: "Job", found: Mapping[str, Any]) -> PredictResult:
    """Return the prediction that a job made; `found` is its result, the output unpacked."""
    model, timings = found["model"], found["timings"]
    return PredictResult(
        id=job.id,
        model=ModelInfo(
            model["name"], model["version"], model["family"], model["task"], WORKERS, 0
        ),
        output=found["output"],
        timings=Timings(**{phase: float(timings.get(phase, 0.0)) for phase in _PHASES}),
        seconds=float(found["seconds"]),
        stage=parse_stage(found["stage"]),
        cached=bool(found.get("cached", False)),
    )


def failure_of(job: "Job") -> SlipwayError | None:
    """Return the error with which a job ended; None for one that succeeded, or is still open."""
    status, said = status_of(job), job.error or {}
    if job.completed is None or status == SUCCEEDED:
        return None
    if status == CANCELED:
        error: SlipwayError = ClientGoneError("The prediction was canceled.")
    elif status == EXPIRED:
        error = DeadlineExceededError(
            "Nobody had begun the prediction when its time was over.",
            expected="fewer requests at once, or more workers",
        )
    elif "code" in said:
        error = _again(said)
    else:
        error = PredictionFailedError("The prediction failed.")
    error.prediction_id = job.id
    return error


def _again(said: Mapping[str, Any]) -> SlipwayError:
    """Return an error of the kind that the worker named, with its words."""
    kind = _KINDS.get(str(said["code"]), PredictionFailedError)
    return kind(
        str(said.get("message") or "The prediction failed."),
        where=said.get("where"),
        expected=said.get("expected"),
        received=said.get("received"),
        retry_after=said.get("retry_after"),
    )
