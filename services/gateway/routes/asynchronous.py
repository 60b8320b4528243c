"""Predictions that are asked for now and made later: `POST /predictions`, `PUT`, and `/cancel`."""

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response

from services.core.errors import DeadlineExceededError
from services.gateway import examples, job_words
from services.gateway.dependencies import get_jobs, get_ledger
from services.gateway.disconnect import unless_gone
from services.gateway.foreign import asked_for
from services.gateway.job_accept import accept, lifetime, reply, webhook_of
from services.gateway.job_documents import document, of_job
from services.gateway.job_inputs import family_for, payload_of
from services.gateway.job_requests import IDEMPOTENCY_KEY, PREFER_WAIT, preference
from services.gateway.json_body import read_object
from services.gateway.openapi import Responses, error_responses, json_body
from services.gateway.schemas_asynchronous import AcceptedPrediction, PredictionRequest
from services.gateway.schemas_predictions import Prediction
from services.gateway.validation import validated

if TYPE_CHECKING:
    from services.ledger.database.job_rows import Job

router = APIRouter(tags=["asynchronous predictions"])

_CREATED = 201
_ERRORS = (400, 404, 408, 409, 413, 415, 422, 429, 500, 503, 504)
PredictionId = Annotated[UUID, Path(description="A UUID of the caller's choice.")]
JobId = Annotated[UUID, Path(description="What the answer of `POST /predictions` says.")]


def _responses() -> Responses:
    location = {"Location": {"schema": {"type": "string"}}}
    return {
        200: {
            "model": AcceptedPrediction,
            "description": "It was asked for before, under this key or id, and has ended.",
        },
        201: {"model": Prediction, "description": "Asked to wait, and it has ended."},
        202: {
            "model": AcceptedPrediction,
            "description": "It is durable, and will be made.",
            "headers": location,
        },
        **error_responses(*_ERRORS),
    }


def _documented(*headers: dict[str, Any]) -> dict[str, Any]:
    schema = PredictionRequest.model_json_schema()
    return {"parameters": list(headers), **json_body(schema, examples.LATER)}


@router.post(
    "/predictions",
    status_code=202,
    response_model=None,
    responses=_responses(),
    openapi_extra=_documented(IDEMPOTENCY_KEY, PREFER_WAIT),
    summary="Have a prediction made",
)
async def create_prediction(request: Request) -> Response:
    """Answered at once; the prediction is made by a worker, whatever happens to this process.

    What the model itself refuses is no error here: the prediction ends as `failed`, and `error`
    says what the synchronous route would have said. Needs Redis and a worker (`make run` has both).
    """
    return await _create(request, None)


@router.put(
    "/predictions/{id}",
    status_code=202,
    response_model=None,
    responses=_responses(),
    openapi_extra=_documented(PREFER_WAIT),
    summary="Have a prediction made, under an id of your own",
)
async def put_prediction(request: Request, id: PredictionId) -> Response:
    """As `POST /predictions`. Sent again with the same body, nothing new is made."""
    return await _create(request, str(id))


@router.post(
    "/predictions/{id}/cancel",
    response_model=Prediction,
    response_model_exclude_unset=True,
    responses=error_responses(404, 422, 503),
    summary="Have a prediction not made, or not finished",
)
async def cancel_prediction(request: Request, id: JobId) -> dict[str, Any]:
    """What waits is canceled at once; what runs is stopped within two seconds, and is
    `processing` with `cancel_requested` until then. What has ended stays as it is.
    """
    found, job = await get_ledger(request).find_any(str(id))
    if job is None or job_words.ended(job):
        return await document(request, str(id))
    return await of_job(request, await get_jobs(request).cancel(job.id), found)


async def _create(request: Request, id: str | None) -> Response:
    body = validated(PredictionRequest, await read_object(request))
    request.scope["state"]["model"] = body.model
    asked = asked_for(body.model, body.version, body.stage)
    ttl = lifetime(request, body.ttl)
    webhook = await webhook_of(request, body.webhook, body.webhook_events_filter)
    payload = await payload_of(request, await family_for(request, asked), body.input)
    asked = replace(asked, payload=payload)
    if id is not None:
        await get_ledger(request).check_free(id)
    job, new = await accept(request, asked, id=id, ttl=ttl, webhook=webhook)
    wait = preference(request).wait
    if wait is None:
        return reply(job, new)
    return await _awaited(request, job, new, wait)


async def _awaited(request: Request, job: "Job", new: bool, seconds: int) -> Response:
    """Answer with the end of a job, if it comes in time; it goes on if the caller leaves."""
    applied = {"Preference-Applied": f"wait={seconds}"}
    with suppress(DeadlineExceededError):
        job = await unless_gone(request, get_jobs(request).wait(job.id, float(seconds)))
    if not job_words.ended(job):
        return reply(job, new, applied)
    shown = Prediction.model_validate(await document(request, job.id))
    answer = reply(job, new, applied, body=shown.model_dump(mode="json", exclude_unset=True))
    if new:
        answer.status_code = _CREATED
    return answer
