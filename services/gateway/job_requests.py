"""What the headers of a request say about work that is done later: RFC 7240, Idempotency-Key."""

import math
import re
from dataclasses import dataclass

from starlette.requests import Request

from services.core.errors import InvalidInputError
from services.core.received import counted
from services.gateway.dependencies import get_settings
from services.gateway.scope import header

_KEY = b"idempotency-key"
_PREFER = b"prefer"
_LONGEST_KEY = 255
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_WAIT = re.compile(r"\d{1,6}")
_RESPOND_ASYNC = "respond-async"

IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "1 to 255 visible ASCII characters. Sent again with the same request it gives"
    " the same job, and `Idempotent-Replayed: true`; with another one, a 409.",
    "schema": {"type": "string"},
}
PREFER = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": "`respond-async`: a 202 at once, and the prediction is made later (RFC 7240).",
    "schema": {"type": "string"},
}
PREFER_WAIT = {
    **PREFER,
    "description": "`wait=10`: up to so many seconds (at most REQUEST_TIMEOUT) for the end, which"
    " is a 201; without it the answer is a 202 at once (RFC 7240).",
}


@dataclass(frozen=True, slots=True)
class Preference:
    """What a caller would like.

    Attributes:
        respond_async: not to wait for the answer.
        wait: seconds to wait for the end, at most REQUEST_TIMEOUT; None: not at all.
    """

    respond_async: bool = False
    wait: int | None = None


_NONE = Preference()


def preference(request: Request) -> Preference:
    """Return what `Prefer` says; what is not understood there is ignored, as RFC 7240 wants it."""
    if header(request.scope, _PREFER) is None:
        return _NONE
    found: dict[str, str | None] = {}
    for line in request.headers.getlist("prefer"):
        for part in line.split(","):
            # What follows a semicolon are parameters of the preference; there are none here.
            name, given, value = part.partition(";")[0].partition("=")
            value = value.strip().strip('"')
            # The first one counts.
            found.setdefault(name.strip().lower(), value if given else None)
    return Preference(_RESPOND_ASYNC in found, _wait(request, found))


def _wait(request: Request, found: dict[str, str | None]) -> int | None:
    if "wait" not in found:
        return None
    value, most = found["wait"], max(1, math.floor(get_settings(request).request_timeout))
    if value is None:
        return most
    return min(int(value), most) if _WAIT.fullmatch(value) else None


def idempotency_key(request: Request) -> str | None:
    """Return the key under which a request may be sent again.

    Raises:
        InvalidInputError: it is empty, too long, or has characters that nobody sees.
    """
    key = header(request.scope, _KEY)
    if key is None:
        return None
    if len(key) > _LONGEST_KEY or not _VISIBLE.fullmatch(key):
        raise InvalidInputError(
            "The key is not accepted.",
            where="Idempotency-Key",
            expected=f"1 to {_LONGEST_KEY} visible ASCII characters",
            received=counted(len(key), "character"),
        )
    return key
