"""What families that take a file have in common."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from services.core.errors import InvalidInputError
from services.core.received import describe
from services.core.signature import Field
from services.families.base import Picture

# In a signature: the one column, the encoded file.
FILE = Field(None, "binary")


def example(data: bytes) -> dict[str, str]:
    """Return the payload of a file as JSON values: `{"inputs": base64}`, as examples are kept."""
    return {"inputs": base64.b64encode(data).decode("ascii")}


def picture(payload: Any) -> Picture:
    """Return the picture of a payload: a `Picture`, or what `example` returns.

    Raises:
        InvalidInputError: it is neither.
    """
    if isinstance(payload, Picture):
        return payload
    given = payload.get("inputs") if isinstance(payload, Mapping) and len(payload) == 1 else None
    if not isinstance(given, str | bytes):
        raise InvalidInputError(
            "This model takes a picture, not a JSON body.",
            where="body",
            received=describe(payload),
            expected="a JPEG, PNG or WEBP file, sent as a form's `file`",
        )
    try:
        return Picture(
            given if isinstance(given, bytes) else base64.b64decode(given, validate=True)
        )
    except (binascii.Error, ValueError):
        raise InvalidInputError(
            "The text is not base64.",
            where="inputs",
            expected="a picture's file in base64",
            received=describe(given),
        ) from None
