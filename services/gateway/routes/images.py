"""Pictures: `POST /process-image`."""

import base64
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import StringConstraints

from services.core.errors import InvalidInputError
from services.core.metrics import Metrics
from services.core.settings import Settings
from services.engine.engine import Engine
from services.engine.messages import PredictRequest, PredictResult
from services.families.cutler.schema import Instance, Segmentation, SegmentationInput
from services.gateway.dependencies import get_engine, get_metrics, get_settings
from services.gateway.disconnect import unless_gone
from services.gateway.openapi import error_responses, picture_form
from services.gateway.schemas import ProcessImageResponse
from services.gateway.uploads import check_picture, count_upload, read_upload

router = APIRouter(tags=["images"])

_TASK = "instance-segmentation"
_FIELD = "file"
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
        200: {
            "model": ProcessImageResponse,
            "description": "Every object found, by descending score.",
            "headers": {"X-Prediction-ID": {"schema": {"type": "string", "format": "uuid"}}},
        },
        **error_responses(400, 408, 413, 415, 422, 429, 500, 503, 504),
    },
    openapi_extra=picture_form(_FIELD),
    summary="Find every object in a picture",
)
async def process_image(
    request: Request,
    engine: Annotated[Engine, Depends(get_engine)],
    settings: Annotated[Settings, Depends(get_settings)],
    metrics: Annotated[Metrics, Depends(get_metrics)],
    threshold: Threshold = None,
    include: Include = ["image,masks"],  # noqa: B006 - FastAPI copies it
) -> Response:
    """Send a JPEG, PNG or WEBP in the form field `file`.

    `curl -F file=@photo.jpg 'http://127.0.0.1:8000/process-image?threshold=0.6&include=masks'`

    EXIF orientation is applied, so boxes and masks are those of the upright picture.
    """
    upload = await read_upload(request, _FIELD, settings.max_file_size)
    wanted = {part for value in include for part in value.split(",")}
    payload = SegmentationInput(
        upload.data,
        threshold=threshold,
        want_image="image" in wanted,
        want_masks="masks" in wanted,
    )
    try:
        check_picture(upload, _FIELD)
        asked = PredictRequest(engine.model_for(_TASK), payload)
        result = await unless_gone(request, engine.predict(asked))
    except InvalidInputError:
        count_upload(metrics, upload, accepted=False)
        raise
    count_upload(metrics, upload, accepted=True)
    used = settings.cutler_threshold if threshold is None else threshold
    return Response(
        orjson.dumps(_answer(result, used)),
        media_type="application/json",
        headers={"X-Prediction-ID": result.id},
    )


def _answer(result: PredictResult, threshold: float) -> dict[str, Any]:
    found: Segmentation = result.output
    height, width = found.size
    return {
        "success": True,
        "prediction_id": result.id,
        "model": {"name": result.model.name, "version": result.model.version},
        "threshold": threshold,
        "image_size": {"height": height, "width": width},
        "num_instances": len(found.instances),
        "instances": [_instance(instance) for instance in found.instances],
        "image": None if found.image is None else base64.b64encode(found.image).decode(),
        "processing_time": result.seconds,
        "timings": result.timings,
    }


def _instance(instance: Instance) -> dict[str, Any]:
    return {
        "box": instance.box,
        "score": instance.score,
        "area": instance.area,
        "mask": instance.mask,
    }
