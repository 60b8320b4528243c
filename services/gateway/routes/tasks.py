"""Tasks: `GET /task/{task_id}`, of pictures that were sent to `POST /process-image/async`."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Path, Request, Response

from services.core.errors import NotFoundError
from services.gateway import answers, job_words
from services.gateway.dependencies import get_jobs, get_ledger, get_settings
from services.gateway.job_results import result_of
from services.gateway.openapi import error_responses
from services.gateway.schemas_asynchronous import Task
from services.jobs.names import PREDICT

if TYPE_CHECKING:
    from services.ledger.database.job_rows import Job

router = APIRouter(tags=["images"])

_STATUS = {
    job_words.STARTING: "processing",
    job_words.PROCESSING: "processing",
    job_words.SUCCEEDED: "completed",
}
TaskId = Annotated[UUID, Path(description="What the answer of `POST /process-image/async` says.")]


@router.get(
    "/task/{task_id}",
    response_model=None,
    responses={
        200: {"model": Task, "description": "How far it is."},
        **error_responses(404, 422, 503),
    },
    summary="How far a task is, and what came of it",
)
async def task(request: Request, task_id: TaskId) -> Response:
    """`completed` has in `result` what `POST /process-image` would have answered; `failed` has
    `error`. Any prediction that was asked for asynchronously can be looked up here.
    """
    _, job = await get_ledger(request).find_any(str(task_id), task=None)
    if job is None:
        raise NotFoundError(
            "There is no such task here.",
            where="task_id",
            expected="the task_id of POST /process-image/async",
        )
    body = {
        "task_id": job.id,
        "status": status_of(job),
        "result": await _result(request, job),
        "error": _error(job),
        "prediction_id": job.id,
        "created_at": job_words.when(job.created),
        "started_at": job_words.when(job.started),
        "completed_at": job_words.when(job.completed),
    }
    content = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(content, media_type="application/json")


def accepted(job: "Job") -> dict[str, Any]:
    """Return what `POST /process-image/async` answers."""
    return {
        "task_id": job.id,
        "status": status_of(job),
        "prediction_id": job.id,
        "status_url": f"/task/{job.id}",
        "created_at": job_words.when(job.created),
    }


def status_of(job: "Job") -> str:
    """Return the task's status: whatever ended without a result has failed."""
    return _STATUS.get(job_words.status_of(job), "failed")


def _error(job: "Job") -> dict[str, Any] | None:
    error = job_words.error_of(job)
    return None if error is None else {name: error[name] for name in error if name != "phase"}


async def _result(request: Request, job: "Job") -> Any:
    if job_words.status_of(job) != job_words.SUCCEEDED or job.completed is None:
        return None
    if job.task != PREDICT:
        return job.result
    result = result_of(job, await get_jobs(request).result(job))
    threshold = job.options.get("threshold", get_settings(request).cutler_threshold)
    made = datetime.fromtimestamp(job.completed / 1e6, UTC)
    return answers.body_of(result, threshold, made)
