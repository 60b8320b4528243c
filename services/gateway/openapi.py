"""What the routes share in the OpenAPI document."""

from typing import Any

from services.gateway.schemas import ErrorResponse

_DESCRIPTIONS = {
    400: "The body breaks its protocol, such as a form with a broken boundary.",
    404: "There is no such thing.",
    408: "The body took longer than UPLOAD_TIMEOUT.",
    413: "The file has too many bytes, or the picture too many pixels.",
    415: "Not a JPEG, PNG or WEBP, or not what its label says.",
    422: "A field is missing, a parameter is out of range, or the picture is damaged.",
    429: "Too many requests are waiting; `Retry-After` says when to come back.",
    500: "The model, or Slipway itself, failed.",
    503: "The model is loading, failed to load, or the service is shutting down.",
    504: "The answer was not ready within REQUEST_TIMEOUT.",
}
_RETRY_AFTER = {
    "Retry-After": {
        "description": "Seconds after which to try again.",
        "schema": {"type": "integer", "minimum": 1},
    }
}

Responses = dict[int | str, dict[str, Any]]


def error_responses(*statuses: int) -> Responses:
    """Document the errors that a route can answer with."""
    documented: Responses = {}
    for status in statuses:
        documented[status] = {"model": ErrorResponse, "description": _DESCRIPTIONS[status]}
        if status in (429, 503):
            documented[status]["headers"] = _RETRY_AFTER
    return documented


def picture_form(field: str) -> dict[str, Any]:
    """Document a multipart body with one picture in `field`."""
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
    content = {"multipart/form-data": {"schema": schema, "encoding": encoding}}
    return {"requestBody": {"required": True, "content": content}}
