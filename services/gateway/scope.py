"""What an ASGI scope says, read without building objects for it."""

from starlette.types import Scope

# Set in a scope once the whole request has arrived.
RECEIVED = "slipway.received"
# The server's way to send an answer at once, see `protocol.WholeAnswers`.
ANSWER = "slipway.answer"
# In a scope's state once the head of the answer has been given; true once all of it has.
ANSWERING = "slipway.answering"
_HEADERS = "slipway.headers"


def header(scope: Scope, name: bytes) -> str | None:
    """Return the header of that name (in small letters), if there is one; of several, the last."""
    found = scope.get(_HEADERS)
    if found is None:
        found = scope[_HEADERS] = dict(scope["headers"])
    value = found.get(name)
    return None if value is None else str(value, "latin-1")


def is_answering(scope: Scope) -> bool:
    """Whether the head of an answer has been given, so that another cannot be."""
    return ANSWERING in scope.get("state", ())


def is_answered(scope: Scope) -> bool:
    """Whether the whole of an answer has been given."""
    return bool(scope.get("state", {}).get(ANSWERING))
