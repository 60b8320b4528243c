"""The only place where domain errors become HTTP: status, headers and the body they share."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

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
    LedgerFullError,
    LedgerUnavailableError,
    ModelUnavailableError,
    NotFoundError,
    OverloadedError,
    PayloadTooLargeError,
    PredictionFailedError,
    SlipwayError,
    UnauthorizedError,
    UnsupportedMediaError,
)
from services.core.received import describe
from services.gateway.error_shapes import Told, shape_of

# Not in any standard, but what nginx logs when the caller has hung up.
CLIENT_CLOSED_REQUEST = 499
_INTERNAL_ERROR = 500
_NOT_FOUND = 404
_RETRY_STATUSES = frozenset({429, 503})
_RETRY_AFTER = 1


class MalformedRequestError(InvalidInputError):
    """The body breaks the protocol that it claims to speak."""

    code = "malformed_request"
    remedy = (
        "Check how the body is written: `expected` says what form it must have. Clients that are "
        "libraries do this by themselves; something on the way may have cut the body."
    )


class UploadTimeoutError(SlipwayError):
    """The body did not arrive in time."""

    code = "upload_timeout"
    remedy = "Send the body faster or in a smaller form, or raise UPLOAD_TIMEOUT."
    retry = True


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
    LedgerFullError: 503,
    LedgerUnavailableError: 503,
    DeadlineExceededError: 504,
}

# What the router says by itself.
NO_ADDRESS = Told(
    404,
    NotFoundError.code,
    "There is nothing at this address.",
    "path",
    "an address listed at /docs",
)
NO_METHOD = Told(
    405,
    "method_not_allowed",
    "This address does not take that method.",
    "method",
    "one that Allow names",
)
INTERNAL = Told(_INTERNAL_ERROR, SlipwayError.code, "Something went wrong in here.")
_ROUTER = {told.status: told for told in (NO_ADDRESS, NO_METHOD)}
# As long as a model's name may be.
_LONGEST_NAME = 250


def status_of(error: SlipwayError) -> int:
    """Return the status of the nearest class that has one; 500 for the rest."""
    return next((STATUS[cls] for cls in type(error).__mro__ if cls in STATUS), _INTERNAL_ERROR)


def shown(error: BaseException) -> bool:
    """Whether a caller may see what an error says: a setting or a path stays in the log."""
    if not isinstance(error, SlipwayError) or type(error) is SlipwayError:
        return False
    return status_of(error) != _INTERNAL_ERROR or isinstance(error, PredictionFailedError)


def told_of(error: BaseException) -> Told:
    """Return what a caller is told of an error; a bare 500 for anything that was not foreseen."""
    if not shown(error):
        return INTERNAL
    assert isinstance(error, SlipwayError)
    return Told(
        status_of(error), error.code, error.message, error.where, error.expected, error.received
    )


def error_response(error: BaseException, scope: Scope) -> Response:
    """Answer with a domain error, or with a bare 500 for anything that was not foreseen."""
    told = told_of(error)
    headers = {}
    if isinstance(error, SlipwayError) and error.prediction_id is not None:
        headers["X-Prediction-ID"] = error.prediction_id
    if told.status in _RETRY_STATUSES:
        wait = error.retry_after if isinstance(error, SlipwayError) else None
        headers["Retry-After"] = str(max(1, math.ceil(wait or _RETRY_AFTER)))
    return _response(told, scope, headers)


def install_error_handlers(app: FastAPI) -> None:
    """Give every error that a route or the router raises the shared body."""
    app.add_exception_handler(SlipwayError, _on_domain_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    # Without it the framework answers in plain text, and raises the exception again all the same.
    app.add_exception_handler(Exception, _on_unforeseen)


def _response(told: Told, scope: Scope, headers: dict[str, str] | None = None) -> Response:
    told = replace(
        told, help=_help(told, scope), request_id=scope.get("state", {}).get("request_id")
    )
    body = shape_of(scope.get("path", ""))(told)
    return Response(body, told.status, headers, media_type="application/json")


def _help(told: Told, scope: Scope) -> str | None:
    """Return the path that says what the request's model takes, or which models there are.

    A route that finds the model out by itself notes its name in `scope["state"]["model"]`; the
    others have it in their path, as the parameter `name` or `model`.
    """
    params = scope.get("path_params", {})
    name = scope.get("state", {}).get("model") or params.get("name") or params.get("model")
    if not isinstance(name, str) or told is NO_ADDRESS or told is NO_METHOD:
        return None
    if told.status == _NOT_FOUND and told.where != "version":
        return "/models"
    # Never with the caller's Host before it. A longer name is no model's.
    usable = 0 < len(name) <= _LONGEST_NAME
    return f"/models/{quote(name, safe='', errors='replace')}" if usable else None


async def _on_domain_error(request: Request, error: Exception) -> Response:
    return error_response(error, request.scope)


async def _on_unforeseen(request: Request, error: Exception) -> Response:
    return error_response(error, request.scope)


async def _on_disconnect(request: Request, _: Exception) -> Response:
    # Nobody reads this answer, but the log and the metrics do.
    return error_response(ClientGoneError("The caller hung up while sending."), request.scope)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = error.status_code
    told = _ROUTER.get(status) or Told(status, "http_error", str(error.detail))
    headers = dict(error.headers or {})
    if "Allow" in headers:
        allowed = {method.strip() for method in headers["Allow"].split(",")}
        # Every GET route answers HEAD too, see middleware/guard.py.
        allowed |= {"HEAD"} if "GET" in allowed else set()
        headers["Allow"] = ", ".join(sorted(allowed))
    return _response(told, request.scope, headers)


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [(_field(item["loc"]), str(item["msg"]), _came(item)) for item in error.errors()]
    names = ", ".join(dict.fromkeys(name for name, _, _ in found))
    told = Told(
        422,
        InvalidInputError.code,
        f"The value of {names} is not accepted.",
        where=found[0][0],
        expected="; ".join(f"{name}: {message}" for name, message, _ in found),
        received="; ".join(dict.fromkeys(came for _, _, came in found)),
    )
    return _response(told, request.scope)


def _came(item: Mapping[str, Any]) -> str:
    return "nothing" if item["type"] == "missing" else describe(item.get("input"))


def _field(location: tuple[Any, ...]) -> str:
    """`("query", "threshold")` is `threshold` to the caller; a body keeps its path."""
    return ".".join(str(part) for part in location[1:] or location)
