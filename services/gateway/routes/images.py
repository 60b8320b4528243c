"""Pictures: `POST /process-image`, and `/process-image/async`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import StringConstraints

from services.engine.messages import PredictRequest
from services.families.cutler.schema import SegmentationInput
from services.gateway import answers
from services.gateway.dependencies import get_engine, get_settings
from services.gateway.disconnect import unless_gone
from services.gateway.job_accept import accept, reply, respond_async
from services.gateway.job_inputs import check_picture
from services.gateway.job_requests import IDEMPOTENCY_KEY, PREFER, preference
from services.gateway.openapi import (
    answer_responses,
    error_responses,
    later_responses,
    picture_form,
)
from services.gateway.routes import tasks
from services.gateway.schemas import ProcessImageResponse
from services.gateway.schemas_asynchronous import AcceptedPrediction, AcceptedTask
from services.gateway.uploads import FIELD, picture

router = APIRouter(tags=["images"])

_TASK = "instance-segmentation"
_ERRORS = (400, 408, 413, 415, 422, 429, 500, 503, 504)
_PART = r"(image|masks)"
_INCLUDE = rf"^({_PART}(,{_PART})*)?$"

Include = Annotated[
    list[Annotated[str, StringConstraints(pattern=_INCLUDE, max_length=64)]],
    Query(
        max_length=2,
        description="What to return beside boxes and scores: `image` (the annotated picture),"
        " `masks`, both separated by a comma, or empty for neither.",
        examples=[["image,masks"]],
    ),
]
Threshold = Annotated[
    float | None,
    Query(
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Objects scored above it are returned; without it, CUTLER_THRESHOLD counts.",
        examples=[0.5],
    ),
]


@router.post(
    "/process-image",
    response_model=None,
    responses={
        **answer_responses(
            ProcessImageResponse, "Every object found, by descending score.", *_ERRORS
        ),
        **later_responses(AcceptedPrediction),
    },
    openapi_extra=picture_form(FIELD, PREFER, IDEMPOTENCY_KEY),
    summary="Find every object in a picture",
)
async def process_image(
    request: Request,
    threshold: Threshold = None,
    include: Include = ["image,masks"],  # noqa: B006 - FastAPI copies it
) -> Response:
    """Send a JPEG, PNG or WEBP in the form field `file`.

    `curl -F file=@photo.jpg 'http://127.0.0.1:8000/process-image?threshold=0.6&include=masks'`

    EXIF orientation is applied, so boxes and masks are those of the upright picture.
    """
    async with _asked(request, threshold, include) as asked:
        if preference(request).respond_async:
            await check_picture(request, asked.payload.data, FIELD)
            return await respond_async(request, asked)
        result = await unless_gone(request, get_engine(request).predict(asked))
    used = get_settings(request).cutler_threshold if threshold is None else threshold
    return answers.objects(result, used)


@router.post(
    "/process-image/async",
    status_code=202,
    response_model=None,
    responses={
        200: {
            "model": AcceptedTask,
            "description": "It was asked for before, under this key, and has ended.",
        },
        **later_responses(AcceptedTask),
        **error_responses(*_ERRORS, 404),
    },
    openapi_extra=picture_form(FIELD, IDEMPOTENCY_KEY),
    summary="Find every object in a picture, later",
)
async def process_image_async(
    request: Request,
    threshold: Threshold = None,
    include: Include = ["image,masks"],  # noqa: B006 - FastAPI copies it
) -> Response:
    """As `POST /process-image`, answered at once: `GET /task/{task_id}` has the result when it is
    there. The picture is on disk before the answer, and is processed by a worker.
    """
    async with _asked(request, threshold, include) as asked:
        await check_picture(request, asked.payload.data, FIELD)
        job, new = await accept(request, asked)
    return reply(job, new, {"Location": f"/task/{job.id}"}, body=tasks.accepted(job))


@asynccontextmanager
async def _asked(
    request: Request, threshold: float | None, include: list[str]
) -> AsyncIterator[PredictRequest]:
    """Read what is asked for; the upload counts as accepted if the block takes it."""
    wanted = {part for value in include for part in value.split(",")}
    async with picture(request) as found:
        payload = SegmentationInput(
            found.data,
            threshold=threshold,
            want_image="image" in wanted,
            want_masks="masks" in wanted,
        )
        yield PredictRequest(get_engine(request).model_for(_TASK), payload)
