"""Predictions on record: looking them up, and saying what was right or wrong about them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, FastAPI, HTTPException, Path, Query, Request, Response
from pydantic import BaseModel, Field

from services.core.errors import InvalidInputError
from services.gateway import examples, job_listing, prediction_filters, recorded
from services.gateway.dependencies import get_families, get_ledger
from services.gateway.feedback import check, compare, keep
from services.gateway.feedback_bulk import Bulk, read_items
from services.gateway.job_documents import document
from services.gateway.json_body import read_object
from services.gateway.ledger_desk import LedgerDesk
from services.gateway.openapi import error_responses, feedback_items, json_body
from services.gateway.quality_desk import QualityDesk
from services.gateway.schemas_predictions import (
    FeedbackList,
    FeedbackRequest,
    FeedbackResults,
    Prediction,
    PredictionList,
    Status,
)
from services.gateway.sse import EVENT_STREAM, event_stream, wants_events, written
from services.gateway.validation import validated
from services.ledger.records import Record, parse

if TYPE_CHECKING:
    from services.ledger.database.job_rows import Job
    from services.ledger.questions import Connection


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    quality: QualityDesk = app.state.quality
    quality.start()
    yield
    await quality.close()
    desk: LedgerDesk = app.state.ledger_desk
    await desk.close()


router = APIRouter(tags=["predictions"], lifespan=_lifespan)
_MOST = 200
_FIELDS = ("input", "output")
_STREAM: dict[str, Any] = {
    "content": {EVENT_STREAM: {"schema": {"type": "string"}}},
    "description": "The prediction; or what happens to it, as events.",
}

PredictionId = Annotated[UUID, Path(description="What `X-Prediction-ID` of the answer says.")]


def install(app: FastAPI) -> None:
    """Add the routes, and the desk that they ask."""
    state = app.state
    state.ledger_desk = LedgerDesk(state.settings)
    state.quality = QualityDesk(state.settings, state.families, state.ledger_desk, state.metrics)
    app.include_router(router)


class Filters(BaseModel):
    """Which predictions are asked for."""

    model: Annotated[str | None, Field(min_length=1, max_length=250)] = None
    version: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = None
    status: Status | None = None
    mode: Annotated[
        str | None,
        Field(pattern=r"^[a-z_]{1,16}$", description="How they were asked for: sync, batch."),
    ] = None
    caller: Annotated[str | None, Field(min_length=1, max_length=128)] = None
    since: Annotated[
        str | None,
        Field(
            max_length=40,
            description="Not before this time (2026-11-21T10:00:00Z) or age (15m, 2h, 7d).",
            examples=["24h"],
        ),
    ] = None
    until: Annotated[
        str | None, Field(max_length=40, description="Before this time, or this long ago.")
    ] = None
    limit: Annotated[int, Field(ge=1, le=_MOST, description="How many on a page.")] = 20
    after: Annotated[
        str | None, Field(max_length=120, description="Where the page begins: use `next`.")
    ] = None
    include: Annotated[
        str | None,
        Field(
            max_length=40, description="input, output, or both: input,output", examples=["input"]
        ),
    ] = None


@router.get(
    "/predictions",
    responses=error_responses(422, 503),
    response_model_exclude_unset=True,
    summary="The latest predictions",
)
async def predictions(request: Request, filters: Annotated[Filters, Query()]) -> PredictionList:
    """Newest first, page by page. A prediction is listed within about a second of its answer;
    under its own address it is found at once.

    Listed are predictions on record, which those are that some version has begun with. What is
    still to be made, or was never begun, is listed where `status` asks for just that: `starting`,
    `processing` or `expired`; `include` adds nothing there, and a page may hold less than `limit`.
    """
    included = _included(filters.include)
    query = _Query(filters)
    desk = get_ledger(request)
    kept = desk.keeps_jobs if filters.status in job_listing.UNRECORDED else desk.recording
    page = await desk.read(partial(query.page, included=included)) if kept else None
    return PredictionList.model_validate(page or {"predictions": [], "next": None})


@router.api_route("/predictions/feedback", methods=["GET", "PUT"], include_in_schema=False)
async def no_such_method() -> Response:
    """Say that the address takes no such method: else `feedback` would count as an id."""
    raise HTTPException(405, headers={"Allow": "POST"})


@router.get(
    "/predictions/{id}",
    response_model=Prediction,
    response_model_exclude_unset=True,
    responses={200: _STREAM, **error_responses(404, 422, 429, 503)},
    summary="One prediction",
)
async def prediction(request: Request, id: PredictionId) -> Response | dict[str, Any]:
    """There as soon as it was answered, or accepted: what went in and came out, how long it took,
    what was said about it since, and where MLflow has it. Kept for LEDGER_KEEP_DAYS.

    With `Accept: text/event-stream` what happens to it until its end: `status`, `progress` …,
    `completed`. A comment every 15 seconds keeps the line open; `Last-Event-ID` goes on where it
    broke.
    """
    if wants_events(request):
        return await _watched(request, str(id))
    return await document(request, str(id))


@router.post(
    "/predictions/feedback",
    responses=error_responses(400, 408, 413, 415, 422, 503),
    response_model_exclude_unset=True,
    openapi_extra=feedback_items(examples.FEEDBACK_ITEMS),
    summary="Say what was right or wrong about many predictions",
)
async def many_feedbacks(request: Request) -> FeedbackResults:
    """Up to 1,000 items: a JSON list, or lines of JSON (`application/x-ndjson`). Each is kept or
    refused by itself, and all that are kept are on disk before the answer.
    """
    bulk = Bulk(get_ledger(request), get_families(request), await read_items(request))
    await bulk.keep()
    return FeedbackResults.model_validate(bulk.shown())


@router.post(
    "/predictions/{id}/feedback",
    status_code=201,
    responses={
        200: {"model": FeedbackList, "description": "The same was said before, under this id."},
        **error_responses(400, 404, 408, 409, 413, 415, 422, 503),
    },
    openapi_extra=json_body(FeedbackRequest.model_json_schema(), examples.FEEDBACK),
    summary="Say what was right or wrong about a prediction",
)
async def feedback(request: Request, response: Response, id: PredictionId) -> FeedbackList:
    """It is on disk before the answer, and goes onto the prediction's trace in MLflow once, in the
    order of arrival, however early it comes. What was `expected` is compared with the answer, and
    counts towards the quality of the version.
    """
    body = validated(FeedbackRequest, await read_object(request))
    check(body)
    desk, families = get_ledger(request), get_families(request)
    found = await desk.find(str(id))
    said = await asyncio.to_thread(compare, desk, families, found.record, body)
    kept = await desk.write(partial(keep, families=families, said=said))
    response.status_code = 201 if kept.new else 200
    return FeedbackList.model_validate(kept.shown())


async def _watched(request: Request, id: str) -> Response:
    _, job = await get_ledger(request).find_any(id)
    if job is None:
        # It was made at once: all there is to be told is its end.
        return Response(written("completed", await document(request, id)), media_type=EVENT_STREAM)

    async def shown(job: "Job") -> dict[str, Any]:
        found = await document(request, job.id)
        return Prediction.model_validate(found).model_dump(mode="json", exclude_unset=True)

    return await event_stream(request, job, shown)


class _Query:
    """A request in the database's words."""

    def __init__(self, filters: Filters) -> None:
        self._filters = filters
        self._since = prediction_filters.moment(filters.since, "since")
        self._until = prediction_filters.moment(filters.until, "until")
        self._before = prediction_filters.cursor(filters.after)
        if None not in (self._since, self._until) and self._since >= self._until:  # type: ignore[operator]
            raise InvalidInputError(
                "since is not before until.", where="since", expected="a time before until"
            )

    def page(self, connection: "Connection", included: list[str]) -> dict[str, Any]:
        """Return a page of the list."""
        if self._filters.status in job_listing.UNRECORDED:
            return self._unrecorded(connection)
        from services.ledger.database.lookup import recent

        asked = self._filters
        rows = recent(
            connection,
            model=asked.model,
            version=asked.version,
            status=asked.status,
            mode=asked.mode,
            caller=asked.caller,
            since=self._since,
            until=self._until,
            before=self._before,
            limit=asked.limit + 1,
        )
        shown = rows[: asked.limit]
        more = len(rows) > len(shown)
        return {
            "predictions": [_listed(parse(row.record), included) for row in shown],
            "next": self._following((shown[-1].time, shown[-1].id)) if more else None,
        }

    def _unrecorded(self, connection: "Connection") -> dict[str, Any]:
        asked = self._filters
        shown, cursor = job_listing.page(
            connection,
            status=asked.status or "",
            model=asked.model,
            version=asked.version,
            mode=asked.mode,
            caller=asked.caller,
            since=self._since,
            until=self._until,
            after=self._before,
            limit=asked.limit,
        )
        following = None if cursor is None else self._following(cursor)
        return {"predictions": shown, "next": following}

    def _following(self, last: prediction_filters.Cursor) -> str:
        """Return the path of the page behind this row: of the same times, however late it is."""
        asked: dict[str, Any] = self._filters.model_dump(exclude_none=True)
        for name, time in (("since", self._since), ("until", self._until)):
            if time is not None:
                asked[name] = prediction_filters.iso(time)
        asked["after"] = prediction_filters.token(last)
        return f"/predictions?{urlencode(asked)}"


def _included(text: str | None) -> list[str]:
    names = [] if text is None else [name.strip() for name in text.split(",")]
    if not set(names) <= set(_FIELDS):
        raise InvalidInputError(
            "include names something else.", where="include", expected="input, output, or both"
        )
    return names


def _listed(record: Record, included: list[str]) -> dict[str, Any]:
    return recorded.summary(record) | {name: getattr(record, name) for name in included}
