"""What the routes share in the OpenAPI document."""

from collections.abc import Callable
from typing import Any

import orjson
from pydantic import BaseModel

from services.gateway.error_examples import of_status
from services.gateway.error_shapes import Told, inference, own, scoring
from services.gateway.schemas import ErrorResponse
from services.gateway.schemas_foreign import ScoringError
from services.gateway.schemas_predictions import FeedbackItem

_DESCRIPTIONS = {
    400: "The body breaks its protocol: a form with a broken boundary, JSON that is none.",
    401: "The signature is missing or does not fit.",
    404: "There is no such thing.",
    409: "It contradicts what is there.",
    408: "The body took longer than UPLOAD_TIMEOUT.",
    413: "The file has too many bytes, or the picture too many pixels.",
    415: "Neither of the media types that are accepted here, or not what its label says.",
    422: "A field is missing or does not fit, or the picture is damaged.",
    429: "Too many requests are waiting; `Retry-After` says when to come back.",
    500: "The model, or Slipway itself, failed.",
    503: "The model, MLflow or the ledger is not there now, or the service is shutting down.",
    504: "The answer was not ready in time.",
}
_RETRY_AFTER = {
    "Retry-After": {
        "description": "Seconds after which to try again.",
        "schema": {"type": "integer", "minimum": 1},
    }
}

_FEEDBACK_LINE = '{"prediction_id": "01937f5c-9f2b-7cc0-8000-6f1e5b9a3d21", "expected": 1}\n'
_PREDICTION_ID = {"X-Prediction-ID": {"schema": {"type": "string", "format": "uuid"}}}
_PAYLOAD = {
    "type": "object",
    "description": "The field that the model takes (see the examples), or `inputs`: a list of"
    " records, a list of rows, or columns. `params` beside it, where the model has any.",
    "properties": {
        "inputs": {"anyOf": [{"type": "array"}, {"type": "object"}]},
        "params": {"type": "object"},
    },
    "additionalProperties": True,
}

_BATCH = {
    "type": "object",
    "description": "One list: of what `POST /predict` takes as `features`, `reviews` or `image`"
    " (also `images`), or `inputs`, rows of the model that `model` names.",
    "properties": {
        "inputs": {"type": "array", "minItems": 1},
        "model": {
            "type": "string",
            "description": "Beside `reviews`, as in `POST /predict`: tfidf or bert.",
        },
        "params": {"type": "object"},
    },
    "additionalProperties": True,
}

Responses = dict[int | str, dict[str, Any]]


def error_responses(*statuses: int, shape: Callable[[Told], bytes] = own) -> Responses:
    """Document the errors that a route can answer with; `shape` is that of its protocol."""
    documented: Responses = {}
    for status in statuses:
        documented[status] = {"model": ErrorResponse, "description": _DESCRIPTIONS[status]}
        example = of_status(status)
        if example is not None:
            content = {"example": orjson.loads(shape(example))}
            documented[status]["content"] = {"application/json": content}
        if status in (429, 503):
            documented[status]["headers"] = _RETRY_AFTER
    return documented


def answer_responses(model: type[BaseModel], description: str, *errors: int) -> Responses:
    """Document the answer of a prediction, and the errors that may come instead."""
    answer = {"model": model, "description": description, "headers": _PREDICTION_ID}
    return {200: answer, **error_responses(*errors)}


def later_responses(model: type[BaseModel]) -> Responses:
    """Document what answers a caller who does not want to wait."""
    headers = {
        **_PREDICTION_ID,
        **{
            name: {"schema": {"type": "string"}}
            for name in ("Location", "Preference-Applied", "Idempotent-Replayed")
        },
    }
    accepted = {
        "model": model,
        "description": "It is durable, and will be made (`Prefer: respond-async`).",
        "headers": headers,
    }
    return {202: accepted, **error_responses(409)}


def foreign_responses(
    model: type[BaseModel] | None, error: type[BaseModel], *errors: int, identified: bool = False
) -> Responses:
    """Document a route of another server's protocol, whose errors have that server's shape.

    Args:
        model: of the answer; None where the route's annotation says it.
        identified: the answer is a prediction, which has an id.
    """
    documented = error_responses(*errors, shape=scoring if error is ScoringError else inference)
    for response in documented.values():
        response["model"] = error
    if model is not None:
        documented[200] = {"model": model, "description": "The model's answer."}
    if identified:
        documented[200]["headers"] = _PREDICTION_ID
    return documented


def picture_form(field: str = "file", *headers: dict[str, Any]) -> dict[str, Any]:
    """Document a multipart body with one picture in `field`, and headers that the route reads."""
    found = {"requestBody": {"required": True, "content": _form(field)}}
    return {**found, "parameters": list(headers)} if headers else found


def json_body(schema: dict[str, Any], examples: dict[str, Any]) -> dict[str, Any]:
    """Document a JSON body that the route reads itself."""
    content = {"application/json": {"schema": schema, "examples": examples}}
    return {"requestBody": {"required": True, "content": content}}


def feedback_items(examples: dict[str, Any]) -> dict[str, Any]:
    """Document a list of feedback: as JSON, or one item a line."""
    item = FeedbackItem.model_json_schema()
    documented = json_body({"type": "array", "items": item, "minItems": 1}, examples)
    lines = {"schema": {"type": "string"}, "example": _FEEDBACK_LINE}
    documented["requestBody"]["content"]["application/x-ndjson"] = lines
    return documented


def either_body(examples: dict[str, Any]) -> dict[str, Any]:
    """Document a body that is a JSON object or a form with a picture."""
    documented = json_body(_PAYLOAD, examples)
    documented["requestBody"]["content"] |= _form("file")
    return documented


def batch_body(examples: dict[str, Any]) -> dict[str, Any]:
    """Document a body that is a JSON object with one list, or a form with several pictures."""
    documented = json_body(_BATCH, examples)
    form = _form("files")
    file = form["multipart/form-data"]["schema"]["properties"]["files"]
    form["multipart/form-data"]["schema"]["properties"]["files"] = {
        "type": "array",
        "items": file,
        "minItems": 1,
    }
    documented["requestBody"]["content"] |= form
    return documented


def _form(field: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": [field],
        "properties": {
            field: {
                "type": "string",
                "format": "binary",
                "description": "A JPEG, PNG or WEBP file.",
            }
        },
    }
    encoding = {field: {"contentType": "image/jpeg, image/png, image/webp"}}
    return {"multipart/form-data": {"schema": schema, "encoding": encoding}}


def path_and_query(name: str, query: type[BaseModel], *headers: dict[str, Any]) -> dict[str, Any]:
    """Document the path's `name`, and the query and headers that a direct route reads itself.

    Args:
        name: what it is the name of.
        query: its fields; each may be left out.
    """
    named = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    fields = query.model_json_schema()["properties"]
    described = [
        {
            "name": field,
            "in": "query",
            "required": False,
            "description": schema.pop("description", ""),
            "schema": schema,
        }
        for field, schema in fields.items()
    ]
    return {"parameters": [{**named, "description": name}, *described, *headers]}
