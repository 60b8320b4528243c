"""Pictures: `POST /process-image`."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import StringConstraints

from services.engine.messages import PredictRequest
from services.families.cutler.schema import SegmentationInput
from services.gateway import answers
from services.gateway.dependencies import get_engine, get_settings
from services.gateway.disconnect import unless_gone
from services.gateway.openapi import answer_responses, picture_form
from services.gateway.schemas import ProcessImageResponse
from services.gateway.uploads import picture

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
    responses=answer_responses(
        ProcessImageResponse, "Every object found, by descending score.", *_ERRORS
    ),
    openapi_extra=picture_form(),
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
    wanted = {part for value in include for part in value.split(",")}
    engine = get_engine(request)
    async with picture(request) as found:
        payload = SegmentationInput(
            found.data,
            threshold=threshold,
            want_image="image" in wanted,
            want_masks="masks" in wanted,
        )
        asked = PredictRequest(engine.model_for(_TASK), payload)
        result = await unless_gone(request, engine.predict(asked))
    used = get_settings(request).cutler_threshold if threshold is None else threshold
    return answers.objects(result, used)
