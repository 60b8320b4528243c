"""WEBP (RFC 9649): the three kinds of first chunk, and the EXIF chunk behind the picture."""

import struct

from services.core.image_headers.exif import orientation
from services.core.image_headers.kinds import Decoder, Header, check_area, damaged, truncated

_ANIMATION, _EXIF, _ALPHA = 0x02, 0x08, 0x10
_FIRST_CHUNK = 12
_MAX_CHUNKS = 10_000


def read_webp(data: bytes) -> Header:
    """Read the first chunk; only an extended file has metadata behind it.

    libwebp passes metadata by without looking at it, so the essence is the whole file.
    """
    if len(data) < 30 or len(data) < 8 + int.from_bytes(data[4:8], "little"):
        raise truncated()
    kind, body = data[12:16], data[20:30]
    if kind == b"VP8 ":
        return _lossy(body, data)
    if kind == b"VP8L":
        return _lossless(body, data)
    if kind == b"VP8X":
        return _extended(body, data)
    raise damaged("its first chunk is not a picture")


def _lossy(body: bytes, data: bytes) -> Header:
    if body[3:6] != b"\x9d\x01\x2a":
        raise damaged("its first frame has no start code")
    width, height = (side & 0x3FFF for side in struct.unpack("<HH", body[6:10]))
    check_area(width, height)
    return Header("webp", width, height, "plain", 3, 1, data)


def _lossless(body: bytes, data: bytes) -> Header:
    if body[0] != 0x2F:
        raise damaged("its first frame has no signature")
    bits = int.from_bytes(body[1:5], "little")
    width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return Header("webp", width, height, "alpha" if bits >> 28 & 1 else "plain", 4, 1, data)


def _extended(body: bytes, data: bytes) -> Header:
    flags = body[0]
    width = int.from_bytes(body[4:7], "little") + 1
    height = int.from_bytes(body[7:10], "little") + 1
    check_area(width, height)
    upright = orientation(_exif(data)) if flags & _EXIF else 1
    if flags & _ANIMATION:
        # Its decoder holds two whole canvases.
        return Header("webp", width, height, "other", 8, upright, data)
    decoder: Decoder = "alpha" if flags & _ALPHA else "plain"
    return Header("webp", width, height, decoder, 4, upright, data)


def _exif(data: bytes) -> bytes:
    position = _FIRST_CHUNK
    for _ in range(_MAX_CHUNKS):
        if position + 8 > len(data):
            break
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        if data[position : position + 4] == b"EXIF":
            return data[position + 8 : position + 8 + length]
        position += 8 + length + length % 2
    return b""
