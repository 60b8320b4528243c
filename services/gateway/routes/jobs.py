"""Jobs of every kind, and many inputs at once: `/jobs`, `POST /jobs/batch`."""

import asyncio
from contextlib import suppress
from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import urlencode
from uuid import UUID

import orjson
from fastapi import APIRouter, HTTPException, Path, Query, Request, Response

from services.core.errors import (
    DeadlineExceededError,
    InvalidInputError,
    RegistryUnavailableError,
    UnsupportedMediaError,
)
from services.core.origin import CALLER, REQUEST_ID
from services.engine.messages import PredictRequest
from services.families.base import Family
from services.gateway import job_words, jobs_shown, prediction_filters
from services.gateway.dependencies import get_engine, get_jobs, get_settings
from services.gateway.foreign import asked_for
from services.gateway.job_accept import lifetime, webhook_of
from services.gateway.job_inputs import family_for
from services.gateway.job_requests import idempotency_key
from services.gateway.jobs_asked import BATCH, BODY, FILE, Filters, Wanted
from services.gateway.jobs_received import CSV, PARQUET, ZIP, Received, received
from services.gateway.jobs_results import form_of, results
from services.gateway.openapi import error_responses
from services.gateway.rows import PICTURE
from services.gateway.schemas_jobs import AcceptedBatch, JobDocument, JobList
from services.gateway.sse import event_stream, wants_events

_SEGMENTATION = "instance-segmentation"
_ERRORS = (400, 404, 408, 409, 413, 415, 422, 429, 503, 504)

router = APIRouter(tags=["jobs"])

JobId = Annotated[UUID, Path(description="`job_id` of the answer that accepted it.")]


@router.post(
    BATCH,
    status_code=202,
    response_model=None,
    responses={
        202: {"model": AcceptedBatch, "description": "It is durable, and will be done."},
        200: {"model": AcceptedBatch, "description": "The same was asked before, and has ended."},
        **error_responses(*_ERRORS),
    },
    openapi_extra=BODY,
    summary="Predict many inputs, later",
)
async def create_batch(request: Request, wanted: Annotated[Wanted, Query()]) -> Response:
    """Lines of JSON, CSV, Parquet, or a ZIP of pictures; up to BATCH_MAX_ITEMS.

    `curl -F file=@photos.zip 'http://127.0.0.1:8000/jobs/batch?model=cutler'`

    A line of JSON is one element of `inputs`, or a whole body of `POST /models/{name}/predict`.
    Whatever is wrong with one item is that item's error; `/jobs/{id}/results` has a line for each.
    """
    key = idempotency_key(request)
    ttl = lifetime(request, wanted.ttl)
    asked = asked_for(wanted.model, wanted.version, wanted.stage)
    request.scope["state"]["model"] = wanted.model
    webhook = await webhook_of(request, wanted.webhook, None)
    family = await _family(request, asked)
    _check_threshold(family, wanted.threshold)
    async with received(request) as body:
        _check_kind(family, body.kind)
        stored = await _stored(request, asked, body)
    from services.jobs.batches import Batch
    from services.jobs.names import BATCH as QUEUE
    from services.jobs.names import PREDICT_BATCH
    from services.jobs.submission import NewWork

    stage = None if asked.stage is None else asked.stage.value
    batch = Batch(stored.kind, stored.items, asked.version, stage, wanted.threshold)
    job, new = await get_jobs(request).submit(
        NewWork(
            QUEUE,
            PREDICT_BATCH,
            wanted.model,
            batch.options(),
            ref=stored.ref,
            key=key,
            caller=CALLER.get(),
            request_id=REQUEST_ID.get(),
            ttl=ttl,
            mode="batch",
            webhook=webhook,
        )
    )
    headers = {"Location": f"/jobs/{job.id}"} | ({} if new else {"Idempotent-Replayed": "true"})
    status = 200 if not new and job_words.ended(job) else 202
    return _json(jobs_shown.accepted(job), status, headers)


@router.get(BATCH, include_in_schema=False)
async def no_such_method() -> Response:
    """Say that the address takes no such method: else it would count as a job's without an id."""
    raise HTTPException(405, headers={"Allow": "POST"})


@router.get("/jobs", responses=error_responses(422, 503), summary="The latest jobs of every kind")
async def list_jobs(request: Request, filters: Annotated[Filters, Query()]) -> JobList:
    """Newest first, page by page."""
    found = await get_jobs(request).listing(
        task=filters.task,
        queue=filters.queue,
        state=None if filters.status is None else jobs_shown.states_of(filters.status),
        subject=filters.model,
        since=prediction_filters.moment(filters.since, "since"),
        before=None if filters.after is None else int(filters.after, 16),
        limit=filters.limit + 1,
    )
    shown = found[: filters.limit]
    following = None
    if len(found) > len(shown):
        asked = filters.model_dump(exclude_none=True) | {"after": f"{shown[-1].number:x}"}
        following = f"/jobs?{urlencode(asked)}"
    return JobList.model_validate(
        {"jobs": [jobs_shown.summary(job) for job in shown], "next": following}
    )


@router.get(
    "/jobs/{id}",
    response_model=JobDocument,
    responses=error_responses(404, 422, 429, 503),
    summary="How far a job is",
)
async def show_job(request: Request, id: JobId) -> Response:
    """With `Accept: text/event-stream` what happens to it, until it has ended."""
    found = await get_jobs(request).get(str(id))
    if wants_events(request):
        return await event_stream(request, found, partial(jobs_shown.document, request))
    return _json(await jobs_shown.document(request, found))


@router.get(
    "/jobs/{id}/results",
    response_model=None,
    responses={
        200: {
            "description": "A line for each item, in order; as many as are done, with `from`.",
            "content": {
                "application/x-ndjson": {"schema": {"type": "string"}},
                "text/csv": {"schema": {"type": "string"}},
                "application/vnd.apache.parquet": {"schema": FILE},
            },
        },
        **error_responses(404, 409, 422, 503),
    },
    summary="What a batch came to",
)
async def job_results(
    request: Request,
    id: JobId,
    first: Annotated[
        int | None,
        Query(
            alias="from",
            ge=0,
            le=2**31,
            description="Number of the first item. With it, a batch that has not ended answers"
            " with what is done; without it, 409.",
        ),
    ] = None,
    format: Annotated[
        Literal["jsonl", "csv", "parquet"] | None,
        Query(description="In place of `Accept`; without either, lines of JSON."),
    ] = None,
) -> Response:
    """`index`, `id` (of the prediction), `name` (of the file in a ZIP), `status`, and `output` or
    `error`. In tables each field of an output is a column.
    """
    found = await get_jobs(request).get(str(id))
    return await results(request, found, first, form_of(request, format))


@router.post(
    "/jobs/{id}/cancel",
    response_model=JobDocument,
    responses=error_responses(404, 422, 503),
    summary="Cancel a job",
)
async def cancel_job(request: Request, id: JobId) -> Response:
    """One that runs stops within two seconds; what a batch has done until then stays."""
    found = await get_jobs(request).cancel(str(id))
    return _json(await jobs_shown.document(request, found))


@router.post(
    "/jobs/{id}/retry",
    status_code=202,
    response_model=JobDocument,
    responses=error_responses(404, 409, 422, 429, 503),
    summary="Queue a job once more that did not succeed",
)
async def retry_job(request: Request, id: JobId) -> Response:
    """One that failed, was canceled, or expired. A batch goes on behind what is done."""
    found = await get_jobs(request).again(str(id))
    return _json(await jobs_shown.document(request, found), 202)


async def _family(request: Request, asked: PredictRequest) -> Family | None:
    """Return the family of what is asked for.

    Raises:
        NotFoundError: there is no such model or version.
        ModelUnavailableError: no version is in production.
    """
    # Whether there is such a version may not be certain: the worker waits until MLflow says it.
    with suppress(RegistryUnavailableError, DeadlineExceededError):
        await get_engine(request).elsewhere.find(asked)
    return await family_for(request, asked)


def _check_kind(family: Family | None, kind: str) -> None:
    """Refuse files for a model that takes rows, and tables for one that takes files."""
    pictures = family is not None and family.takes == PICTURE
    if (kind == ZIP) != pictures and (kind == ZIP or kind in (CSV, PARQUET)):
        kinds = "a ZIP of pictures, or lines of JSON" if pictures else "lines of JSON, or a table"
        raise UnsupportedMediaError(
            "The model does not take a body of this kind.", where="Content-Type", expected=kinds
        )


def _check_threshold(family: Family | None, threshold: float | None) -> None:
    if threshold is not None and (family is None or family.task != _SEGMENTATION):
        raise InvalidInputError(
            "The model has no threshold.", where="threshold", expected="a model that finds objects"
        )


async def _stored(request: Request, asked: PredictRequest, body: Received) -> Any:
    from services.gateway.jobs_items import TABLES, store

    signature = None
    if body.kind in TABLES:
        engine = get_engine(request)
        loaded = engine.in_memory(asked.model, asked.version) if asked.stage is None else None
        model = loaded.model if loaded else await engine.elsewhere.described(asked)
        signature = model.signature
    settings, blobs = get_settings(request), get_jobs(request).blobs
    return await asyncio.to_thread(store, body, signature, settings, blobs)


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers, media_type="application/json")
