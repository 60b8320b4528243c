"""What the bodies of the repository's routes say; each may be left out."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from services.core.errors import InvalidInputError, UnsupportedMediaError
from services.core.received import describe
from services.gateway.bodies import read_body
from services.gateway.json_body import is_json, media_type, parse

# What curl says of a body when nobody tells it better.
_FROM_CURL = "application/x-www-form-urlencoded"
_OVERRIDES = "config"
_FILES = "file:"


async def only_ready(request: Request) -> bool:
    """Whether the index is to hold only what is ready.

    Raises:
        InvalidInputError: the body is no object, or `ready` neither true nor false.
    """
    ready = (await _object(request)).get("ready", False)
    if not isinstance(ready, bool):
        raise InvalidInputError(
            "ready is neither true nor false.",
            where="ready",
            expected="true or false",
            received=describe(ready),
        )
    return ready


async def check_load(request: Request) -> None:
    """Refuse a load that brings its own configuration or files.

    Raises:
        InvalidInputError: it does, or has parameters that nobody knows.
    """
    for name in await _parameters(request):
        if name == _OVERRIDES or name.startswith(_FILES):
            raise InvalidInputError(
                "Loading with a configuration or files of the caller's own is not supported here.",
                where=f"parameters.{name}" if name == _OVERRIDES else "parameters",
                expected="no such parameter: what is loaded is what the registry holds",
            )
        raise _unknown("no parameters")


async def check_unload(request: Request) -> None:
    """Accept `unload_dependents`: no model here is made of others, so that it changes nothing.

    Raises:
        InvalidInputError: it is neither true nor false, or there are other parameters.
    """
    for name, value in (await _parameters(request)).items():
        if name != "unload_dependents":
            raise _unknown("unload_dependents at most")
        if not isinstance(value, bool):
            raise InvalidInputError(
                "parameters.unload_dependents is neither true nor false.",
                where="parameters.unload_dependents",
                expected="true or false",
                received=describe(value),
            )


async def _parameters(request: Request) -> Mapping[str, Any]:
    found = (await _object(request)).get("parameters", {})
    if not isinstance(found, dict):
        raise InvalidInputError(
            "parameters is no object.",
            where="parameters",
            expected="an object",
            received=describe(found),
        )
    return found


async def _object(request: Request) -> Mapping[str, Any]:
    raw = await read_body(request)
    if not raw.strip():
        return {}
    kind = media_type(request)
    if not is_json(kind) and kind != _FROM_CURL:
        raise UnsupportedMediaError(
            "The body is not labelled as JSON.",
            where="Content-Type",
            expected="application/json",
        )
    body = parse(raw)
    if not isinstance(body, dict):
        raise InvalidInputError(
            "The body is not an object.",
            where="body",
            expected="nothing, or a JSON object",
            received=describe(body),
        )
    return body


def _unknown(expected: str) -> InvalidInputError:
    return InvalidInputError(
        "There is a parameter that is not known here.", where="parameters", expected=expected
    )
