"""What a picture's bytes say before anything is decoded: kind, size, traps, and its essence.

Every check here costs microseconds to a few milliseconds, whatever the file claims, so that a
hostile file is refused before a decoder allocates memory for it. Metadata never reaches a
decoder: libraries unpack it at great cost (200 text chunks in a PNG of 1.5 MB keep OpenCV busy
for three seconds, and an EXIF directory can point to the same bytes thousands of times).
"""

from services.core.errors import InvalidInputError, UnsupportedMediaError
from services.core.image_headers.jpeg import read_jpeg
from services.core.image_headers.kinds import ACCEPTED, Header, describe, received, sniff
from services.core.image_headers.png import read_png
from services.core.image_headers.webp import read_webp

_READERS = {"jpeg": read_jpeg, "png": read_png, "webp": read_webp}


def read_header(data: bytes) -> Header:
    """Read the header of a whole JPEG, PNG or WEBP file.

    Raises:
        UnsupportedMediaError: the bytes are something else.
        InvalidInputError: the file is empty, damaged, or cut off.
    """
    if not data:
        raise InvalidInputError(
            "The file is empty.", where="file", expected=ACCEPTED, received=received(data)
        )
    kind = sniff(data)
    if kind is None:
        raise UnsupportedMediaError(
            f"The file is {describe(data)}.",
            where="file",
            expected=ACCEPTED,
            received=received(data),
        )
    return _READERS[kind](data)
