"""The one entry of EXIF that matters here: which way up the picture is (EXIF 2.32, TIFF 6.0)."""

import struct
from typing import Literal

_UPRIGHT = 1
_ORIENTATION_TAG = 0x0112
_SHORT = 3
_ENTRY_BYTES = 12
_MAX_ENTRIES = 1000
_BYTE_ORDERS: dict[bytes, Literal["<", ">"]] = {b"II*\x00": "<", b"MM\x00*": ">"}


def orientation(block: bytes) -> int:
    """Return the orientation, 1 to 8, of an EXIF block (which begins with its TIFF header).

    1 where there is none or it makes no sense: damaged metadata must not cost the picture.
    """
    block = block.removeprefix(b"Exif\x00\x00")
    order = _BYTE_ORDERS.get(block[:4])
    if order is None or len(block) < 8:
        return _UPRIGHT
    (start,) = struct.unpack_from(f"{order}I", block, 4)
    if start + 2 > len(block):
        return _UPRIGHT
    (count,) = struct.unpack_from(f"{order}H", block, start)
    for number in range(min(count, _MAX_ENTRIES)):
        entry = start + 2 + number * _ENTRY_BYTES
        if entry + _ENTRY_BYTES > len(block):
            break
        tag, kind, _, value = struct.unpack_from(f"{order}HHIH", block, entry)
        if tag == _ORIENTATION_TAG:
            return value if kind == _SHORT and 1 <= value <= 8 else _UPRIGHT
    return _UPRIGHT
