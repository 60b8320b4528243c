"""Read a JSON body: strictly, within limits, and quickly where it is small."""

import asyncio
import json
from typing import Any

import orjson
from starlette.requests import Request

from services.core.errors import InvalidInputError, UnsupportedMediaError
from services.core.received import counted, describe
from services.gateway.bodies import read_body
from services.gateway.errors import MalformedRequestError
from services.gateway.media import media_received
from services.gateway.scope import header

MAX_DEPTH = 64
# Beyond it (bytes) reading takes milliseconds, which other requests should not wait for.
_SMALL = 64 * 1024
_OBJECT = "a JSON object in UTF-8"


def media_type(request: Request) -> str:
    """Return the body's media type in small letters, without parameters; empty if none is said."""
    found = header(request.scope, b"content-type")
    return "" if found is None else found.partition(";")[0].strip().lower()


def is_json(kind: str) -> bool:
    """Whether a media type is JSON's. A body without a label is taken for JSON too."""
    return kind in ("application/json", "") or kind.endswith("+json")


async def read_object(request: Request, expected: str = _OBJECT) -> dict[str, Any]:
    """Return the body's JSON object.

    Raises:
        UnsupportedMediaError: the body is labelled as something else.
        MalformedRequestError: it is no JSON, nested too deeply, or names a key twice.
        InvalidInputError: it is empty, or JSON that is no object.
    """
    if not is_json(media_type(request)):
        raise UnsupportedMediaError(
            "The body is not labelled as JSON.",
            where="Content-Type",
            expected="application/json",
            received=media_received(media_type(request)),
        )
    raw = await read_body(request)
    body = parse(raw) if len(raw) <= _SMALL else await asyncio.to_thread(parse, raw)
    if not isinstance(body, dict):
        raise InvalidInputError(
            "The body is not an object.", where="body", expected=expected, received=describe(body)
        )
    return body


def parse(raw: bytes) -> Any:
    """Decode JSON. NaN, infinities and lone surrogates are no JSON; integers beyond 64 bits
    become floating-point numbers.

    Raises:
        MalformedRequestError: it is no JSON, nested too deeply, or names a key twice.
        InvalidInputError: there is nothing.
    """
    if not raw.strip():
        raise InvalidInputError(
            "The body is empty.", where="body", expected=_OBJECT, received="nothing"
        )
    try:
        return _parsed(raw)
    except MalformedRequestError as error:
        error.received = counted(len(raw), "byte")
        raise


def _parsed(raw: bytes) -> Any:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _malformed(
            f"The body is not valid JSON (line {error.lineno}, column {error.colno})."
        ) from None
    # Neither can be where there are so few colons and brackets, as in most requests.
    if raw.count(b":") > 1 or raw.count(b"[") + raw.count(b"{") > MAX_DEPTH:
        _check(value, raw)
    return value


def _check(value: Any, raw: bytes) -> None:
    keys = 0
    level = [value]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for item in level:
            if type(item) is dict:
                keys += len(item)
                inner.extend(part for part in item.values() if type(part) in (dict, list))
            elif type(item) is list:
                inner.extend(part for part in item if type(part) in (dict, list))
        if not inner:
            break
        level = inner
    else:
        raise _malformed("The body is nested too deeply.")
    # Each key has its colon: where there are more, they stand in texts, or a key came twice.
    if raw.count(b":") != keys:
        json.loads(raw, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _malformed("An object in the body names a key twice.")
    return found


def _malformed(message: str) -> MalformedRequestError:
    return MalformedRequestError(
        message,
        where="body",
        expected=f"{_OBJECT}, at most {MAX_DEPTH} levels deep, each key once",
    )
