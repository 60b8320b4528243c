"""Pictures inside JSON: base64, or an object that holds some."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from services.core.errors import InvalidInputError
from services.core.received import describe

# Under which names a record may hold its picture.
_PICTURE_FIELDS = ("b64", "image", "file", "image_bytes", "data")
PICTURES = "a list of pictures (JPEG, PNG or WEBP), each in base64"


def encoded_picture(item: Any, where: str) -> bytes:
    """Return the file that an item holds: bytes, base64, or an object with one of these.

    Raises:
        InvalidInputError: it holds none, or no base64.
    """
    for _ in range(2):
        if isinstance(item, Mapping):
            item = next((item[name] for name in _PICTURE_FIELDS if name in item), None)
        elif isinstance(item, list) and len(item) == 1:
            (item,) = item
    if isinstance(item, bytes):
        return item
    if isinstance(item, str):
        try:
            return base64.b64decode(item, validate=True)
        except (binascii.Error, ValueError):
            pass
    raise InvalidInputError(
        "A picture cannot be read.", where=where, expected=PICTURES, received=describe(item)
    )
