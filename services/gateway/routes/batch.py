"""Many predictions in one request: `POST /predict/batch`."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response

from services.core.encoded_picture import encoded_picture
from services.core.errors import (
    InvalidInputError,
    PredictionFailedError,
    SlipwayError,
    UnsupportedMediaError,
)
from services.engine.messages import PredictRequest
from services.gateway import batches, examples
from services.gateway.batch_input import Items, check_count, expected, read_files, read_items
from services.gateway.dependencies import (
    get_choice,
    get_engine,
    get_families,
    get_metrics,
    get_settings,
)
from services.gateway.disconnect import unless_gone
from services.gateway.json_body import is_json, media_type, read_object
from services.gateway.media import media_received
from services.gateway.openapi import answer_responses, batch_body
from services.gateway.rows import takes_pictures
from services.gateway.schemas_batch import BatchResponse
from services.gateway.served import family_of
from services.gateway.uploads import (
    FORM,
    check_bytes,
    check_picture,
    check_size,
    count_upload,
)

router = APIRouter(tags=["predictions"])

_ERRORS = (400, 404, 408, 413, 415, 422, 429, 500, 503, 504)
# Beyond it writing the answer takes milliseconds, which other requests should not wait for.
_SMALL = 500

ModelName = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=250,
        description="Name of the model; without it, the one that `POST /predict` takes.",
    ),
]


@router.post(
    "/predict/batch",
    response_model=None,
    responses=answer_responses(BatchResponse, "One result for each item, in order.", *_ERRORS),
    openapi_extra=batch_body(examples.BATCH),
    summary="Predict many; one bad item does not fail the others",
)
async def predict_batch(request: Request, model: ModelName = None) -> Response:
    """Many pictures in the form field `files`, or a JSON body with a list of what `/predict` takes.

    `curl -F files=@circle.png -F files=@star.png http://127.0.0.1:8000/predict/batch`

    Rows are predicted together. 200 means that the request could be read: `failed` says how many
    items have an `error` instead of an answer. The whole body may have MAX_FILE_SIZE bytes, a
    form MAX_BATCH_FILES files, a list MAX_ROWS rows.
    """
    kind = media_type(request)
    if kind == FORM:
        name = model or get_choice(request).of_file()
        return await _answer(name, await _files(request, name))
    if not is_json(kind):
        raise UnsupportedMediaError(
            "The body is neither JSON nor a form.",
            where="Content-Type",
            expected="application/json, or multipart/form-data with files",
            received=media_received(kind),
        )
    items = read_items(request, await read_object(request, expected(request)), model)
    if takes_pictures(request, items.model):
        return await _answer(items.model, await _encoded(request, items))
    asked = PredictRequest(items.model, items.payload)
    seconds = get_settings(request).request_timeout
    work = batches.rows(get_engine(request), asked, items.values, items.name, seconds)
    return await _answer(items.model, await unless_gone(request, work))


async def _files(request: Request, model: str) -> batches.Outcomes:
    """Predict the pictures of a form."""
    family = family_of(get_engine(request), get_families(request), model)
    if family is not None and not takes_pictures(request, model):
        raise UnsupportedMediaError(
            "The model does not take a body of this kind.",
            where="Content-Type",
            expected="application/json",
        )
    limit, metrics = get_settings(request).max_file_size, get_metrics(request)
    uploads = await read_files(request)

    def read(index: int) -> bytes:
        check_size(uploads[index], "file", limit)
        check_picture(uploads[index], "file")
        return uploads[index].data

    found = await _pictures(request, model, len(uploads), read, "files")
    for upload, outcome in zip(uploads, found.items, strict=True):
        count_upload(metrics, upload, accepted=not isinstance(outcome, InvalidInputError))
    return found


async def _encoded(request: Request, items: Items) -> batches.Outcomes:
    """Predict the pictures that a JSON body holds in base64."""
    check_count(items.values, items.name, get_settings(request).max_batch_files)
    if items.payload.get("params"):
        raise InvalidInputError(
            "This model takes no parameters.", where="params", expected="nothing"
        )

    def read(index: int) -> bytes:
        data = encoded_picture(items.values[index], items.name)
        check_bytes(data, items.name)
        return data

    return await _pictures(request, items.model, len(items.values), read, items.name)


async def _pictures(
    request: Request, model: str, count: int, read: Callable[[int], bytes], name: str
) -> batches.Outcomes:
    seconds = get_settings(request).request_timeout
    work = batches.pictures(get_engine(request), model, count, read, seconds)
    found = await unless_gone(request, work)
    for index, outcome in enumerate(found.items):
        if isinstance(outcome, SlipwayError):
            outcome.where = f"{name}[{index}]"
    return found


async def _answer(model: str, found: batches.Outcomes) -> Response:
    first = found.first
    failed = sum(isinstance(item, SlipwayError) for item in found.items)
    body = {
        "results": [_result(index, item) for index, item in enumerate(found.items)],
        "count": len(found.items),
        "succeeded": len(found.items) - failed,
        "failed": failed,
        "classes": list(found.labels) or None,
        "model_name": model,
        "model_version": None if first is None else first.model.version,
        "model_stage": None if first is None else first.stage.title,
        "timestamp": datetime.now(UTC),
    }
    small = len(found.items) <= _SMALL
    content = _dumped(body) if small else await asyncio.to_thread(_dumped, body)
    headers = {} if first is None else {"X-Prediction-ID": first.id}
    return Response(content, media_type="application/json", headers=headers)


def _dumped(body: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:
        raise PredictionFailedError("The model's answer is not JSON.") from error


def _result(index: int, item: batches.Outcome) -> dict[str, Any]:
    if isinstance(item, SlipwayError):
        return {"index": index, "success": False, "error": _told(item)}
    result = item.result
    return {
        **item.fields,
        "index": index,
        "success": True,
        "prediction_id": result.id,
        "model_version": result.model.version,
    }


def _told(error: SlipwayError) -> dict[str, Any]:
    return {
        "code": error.code,
        "message": error.message,
        "where": error.where,
        "expected": error.expected,
        "received": error.received,
    }
