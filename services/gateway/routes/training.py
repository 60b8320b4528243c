"""Training as jobs: accepted, watched, cancelled."""

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field

from services.core.errors import (
    DeadlineExceededError,
    RegistryUnavailableError,
    TrainingFailedError,
)
from services.gateway import examples, job_words, training_orders, training_words
from services.gateway.bodies import read_body
from services.gateway.dependencies import get_families, get_jobs, get_settings
from services.gateway.job_requests import IDEMPOTENCY_KEY
from services.gateway.json_body import parse, read_object
from services.gateway.openapi import error_responses, json_body
from services.gateway.schemas_training import (
    AcceptedTraining,
    State,
    SweepRequest,
    TrainedModel,
    TrainingList,
    TrainingStatus,
    TrainModelRequest,
    TrainRequest,
)
from services.gateway.sse import event_stream, wants_events
from services.gateway.training_desk import accepted, answer, document, find, number, submit
from services.gateway.validation import validated
from services.jobs.names import SWEEP, TRAIN

if TYPE_CHECKING:
    from services.ledger.database.job_rows import Job
    from services.ledger.questions import Connection

router = APIRouter(tags=["training"])

# As long as POST /train_model waits, whatever REQUEST_TIMEOUT says.
_LONGEST_WAIT = 60.0
_ACCEPTED = "Training job accepted and queued"
_SWEEP_ACCEPTED = "Sweep accepted and queued"
_ERRORS = error_responses(400, 404, 408, 409, 413, 415, 422, 429, 503)

JobId = Annotated[
    str, Path(max_length=64, description="`job_000042`, or the UUID.", examples=["job_000042"])
]


def _body(kind: type[BaseModel], shown: dict[str, Any]) -> dict[str, Any]:
    return {**json_body(kind.model_json_schema(), shown), "parameters": [IDEMPOTENCY_KEY]}


@router.post(
    "/train",
    status_code=202,
    response_model=AcceptedTraining,
    responses={
        200: {"model": AcceptedTraining, "description": "Sent before, and ended since."},
        **_ERRORS,
    },
    openapi_extra=_body(TrainRequest, examples.TRAIN),
    summary="Train a model",
)
async def train(request: Request) -> Response:
    """Answers at once; a worker trains. It is written to MLflow while it goes on, and registered
    once it is there, unless `register_model` is false. Without `family` it is for digits.
    """
    asked, order = training_orders.training(
        await read_object(request), get_families(request), get_settings(request)
    )
    job, new = await submit(request, TRAIN, order, asked)
    return accepted(job, new, _ACCEPTED)


@router.post(
    "/sweep",
    status_code=202,
    response_model=AcceptedTraining,
    responses={
        200: {"model": AcceptedTraining, "description": "Sent before, and ended since."},
        **_ERRORS,
    },
    openapi_extra=_body(SweepRequest, examples.SWEEP),
    summary="Train with different parameters, and keep the best",
)
async def sweep(request: Request) -> Response:
    """Answers at once, as `POST /train` does, and is watched and cancelled like it."""
    asked, order = training_orders.sweeping(
        await read_object(request), get_families(request), get_settings(request)
    )
    job, new = await submit(request, SWEEP, order, asked)
    return accepted(job, new, _SWEEP_ACCEPTED)


@router.get(
    "/train/status/{job_id}",
    response_model=TrainingStatus,
    responses=error_responses(404, 422, 429, 503),
    summary="How far a training is",
)
async def status(request: Request, job_id: JobId) -> Any:
    """With the metrics of each epoch while it goes on. With `Accept: text/event-stream` a stream:
    `status`, `progress` with each epoch or two, `completed`.
    """
    job = await find(request, job_id)

    async def shown(job: "Job") -> dict[str, Any]:
        return await document(request, job)

    if wants_events(request):
        return await event_stream(request, job, shown)
    return TrainingStatus.model_validate(await shown(job))


class Filters(BaseModel):
    """Which trainings are asked for."""

    state: State | None = None
    family: Annotated[str | None, Field(min_length=1, max_length=250)] = None
    limit: Annotated[int, Field(ge=1, le=200, description="How many on a page.")] = 20
    after: Annotated[
        str | None, Field(max_length=64, description="Where the page begins: use `next`.")
    ] = None


@router.get("/train/jobs", responses=error_responses(422, 503), summary="Every training")
async def jobs(request: Request, filters: Annotated[Filters, Query()]) -> TrainingList:
    """Trainings and sweeps, the newest first, page by page; kept for JOB_KEEP_DAYS."""
    states = None if filters.state is None else training_words.STATES[filters.state]
    before = None if filters.after is None else number(filters.after, "after")

    def look(connection: "Connection") -> "tuple[list[Job], int]":
        # Here, in the thread: it brings the database's library.
        from services.ledger.database.job_lists import count, listing

        tasks, family = (TRAIN, SWEEP), filters.family
        page = listing(
            connection, task=tasks, state=states, subject=family, before=before,
            limit=filters.limit + 1,
        )  # fmt: skip
        return page, count(connection, task=tasks, state=states, subject=family)

    found, total = await get_jobs(request).read(look)
    shown = found[: filters.limit]
    following = None
    if len(found) > len(shown):
        asked = filters.model_dump(exclude_none=True) | {"after": training_words.job_id(shown[-1])}
        following = f"/train/jobs?{urlencode(asked)}"
    return TrainingList.model_validate(
        {
            "jobs": [training_words.summary(job) for job in shown],
            "total_count": total,
            "next": following,
        }
    )


@router.post(
    "/train/{job_id}/cancel",
    response_model=TrainingStatus,
    responses=error_responses(404, 422, 503),
    summary="Cancel a training",
)
async def cancel(request: Request, job_id: JobId) -> TrainingStatus:
    """One that is queued ends at once, one that runs within two seconds; its run in MLflow is then
    KILLED. One that has ended stays as it is.
    """
    job = await find(request, job_id)
    job = await get_jobs(request).cancel(job.id)
    return TrainingStatus.model_validate(await document(request, job))


@router.post(
    "/train_model",
    response_model=TrainedModel,
    responses={
        202: {"model": AcceptedTraining, "description": "It takes longer; ask again later."},
        **error_responses(400, 408, 409, 413, 415, 422, 429, 500, 503),
    },
    openapi_extra={
        **_body(TrainModelRequest, examples.TRAIN_MODEL),
        "requestBody": {
            **json_body(TrainModelRequest.model_json_schema(), examples.TRAIN_MODEL)["requestBody"],
            "required": False,
        },
    },
    summary="Train a sentiment model, and wait for it",
)
async def train_model(request: Request) -> Response:
    """A job like any other, for which this waits up to REQUEST_TIMEOUT, 60 seconds at most."""
    raw = await read_body(request)
    body = validated(TrainModelRequest, parse(raw) if raw.strip() else {})
    settings = get_settings(request)
    asked, order = training_orders.training(
        {"family": "sentiment", "kind": body.model}, get_families(request), settings
    )
    job, new = await submit(request, TRAIN, order, asked)
    try:
        job = await get_jobs(request).wait(job.id, min(settings.request_timeout, _LONGEST_WAIT))
    except DeadlineExceededError:
        return accepted(job, new, "Model training goes on; ask at the address of Location")
    if job_words.status_of(job) != job_words.SUCCEEDED:
        raise _failed(job)
    return answer(200, _trained(job), job)


def _trained(job: "Job") -> dict[str, Any]:
    result = job.result
    return {
        "message": "Model training completed successfully!",
        "job_id": training_words.job_id(job),
        "id": job.id,
        "model": result["name"],
        "version": result["version"],
        "metrics": result["metrics"],
        "run_id": result["run_id"],
        "run_url": result.get("link"),
    }


def _failed(job: "Job") -> Exception:
    error = job_words.error_of(job) or {}
    if error.get("code") == RegistryUnavailableError.code:
        return RegistryUnavailableError(error["message"], where=error["where"])
    return TrainingFailedError(
        f"The training {training_words.job_id(job)} ended as {training_words.status(job)}: "
        f"{error.get('message')}",
        where=error.get("where"),
        expected=error.get("expected"),
    )
