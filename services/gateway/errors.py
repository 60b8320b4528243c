"""The only place where domain errors become HTTP: status, headers and the body they share."""

import math
from dataclasses import replace
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Scope

from services.core.errors import (
    ClientGoneError,
    ConflictError,
    DeadlineExceededError,
    InvalidInputError,
    ModelUnavailableError,
    NotFoundError,
    OverloadedError,
    PayloadTooLargeError,
    PredictionFailedError,
    SlipwayError,
    UnauthorizedError,
    UnsupportedMediaError,
)
from services.gateway.error_shapes import Told, shape_of

# Not in any standard, but what nginx logs when the caller has hung up.
CLIENT_CLOSED_REQUEST = 499
_INTERNAL_ERROR = 500
_RETRY_STATUSES = frozenset({429, 503})
_RETRY_AFTER = 1


class MalformedRequestError(InvalidInputError):
    """The body breaks the protocol that it claims to speak."""

    code = "malformed_request"


class UploadTimeoutError(SlipwayError):
    """The body did not arrive in time."""

    code = "upload_timeout"


STATUS: dict[type[SlipwayError], int] = {
    MalformedRequestError: 400,
    UnauthorizedError: 401,
    NotFoundError: 404,
    ConflictError: 409,
    UploadTimeoutError: 408,
    PayloadTooLargeError: 413,
    UnsupportedMediaError: 415,
    InvalidInputError: 422,
    OverloadedError: 429,
    ClientGoneError: CLIENT_CLOSED_REQUEST,
    PredictionFailedError: 500,
    ModelUnavailableError: 503,
    DeadlineExceededError: 504,
}

_HTTP_CODES = {404: "not_found", 405: "method_not_allowed"}
_HTTP_HINTS = {
    404: ("There is nothing at this address.", "path", "an address listed at /docs"),
    405: ("This address does not take that method.", "method", "one that Allow names"),
}


def status_of(error: SlipwayError) -> int:
    """Return the status of the nearest class that has one; 500 for the rest."""
    return next((STATUS[cls] for cls in type(error).__mro__ if cls in STATUS), _INTERNAL_ERROR)


def error_response(error: BaseException, scope: Scope) -> Response:
    """Answer with a domain error, or with a bare 500 for anything that was not foreseen."""
    status = status_of(error) if isinstance(error, SlipwayError) else _INTERNAL_ERROR
    known = isinstance(error, SlipwayError) and type(error) is not SlipwayError
    # What nobody meant a caller to see (a setting, a path) stays in the log.
    if not known or (status == _INTERNAL_ERROR and not isinstance(error, PredictionFailedError)):
        return _response(Told(status, "internal_error", "Something went wrong in here."), scope)
    assert isinstance(error, SlipwayError)
    headers = {}
    if status in _RETRY_STATUSES:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after or _RETRY_AFTER)))
    return _response(
        Told(status, error.code, error.message, error.where, error.expected, error.received),
        scope,
        headers,
    )


def install_error_handlers(app: FastAPI) -> None:
    """Give every error that a route or the router raises the shared body."""
    app.add_exception_handler(SlipwayError, _on_domain_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)


def _response(told: Told, scope: Scope, headers: dict[str, str] | None = None) -> Response:
    told = replace(told, request_id=scope.get("state", {}).get("request_id"))
    body = shape_of(scope.get("path", ""))(told)
    return Response(body, told.status, headers, media_type="application/json")


async def _on_domain_error(request: Request, error: Exception) -> Response:
    return error_response(error, request.scope)


async def _on_disconnect(request: Request, _: Exception) -> Response:
    # Nobody reads this answer, but the log and the metrics do.
    return error_response(ClientGoneError("The caller hung up while sending."), request.scope)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = error.status_code
    hint = _HTTP_HINTS.get(status, (str(error.detail), None, None))
    headers = dict(error.headers or {})
    if "Allow" in headers:
        allowed = {method.strip() for method in headers["Allow"].split(",")}
        # Every GET route answers HEAD too, see middleware/head.py.
        allowed |= {"HEAD"} if "GET" in allowed else set()
        headers["Allow"] = ", ".join(sorted(allowed))
    code = _HTTP_CODES.get(status, "http_error")
    message, where, expected = hint
    return _response(Told(status, code, message, where, expected), request.scope, headers)


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [(_field(item["loc"]), str(item["msg"])) for item in error.errors()]
    names = ", ".join(dict.fromkeys(name for name, _ in found))
    expected = "; ".join(f"{name}: {message}" for name, message in found)
    message = f"The value of {names} is not accepted."
    told = Told(422, InvalidInputError.code, message, found[0][0], expected)
    return _response(told, request.scope)


def _field(location: tuple[Any, ...]) -> str:
    """`("query", "threshold")` is `threshold` to the caller; a body keeps its path."""
    return ".".join(str(part) for part in location[1:] or location)
