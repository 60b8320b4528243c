"""PNG (third edition): header, chunks, end, and which chunks a decoder needs."""

import struct

from services.core.image_headers.exif import orientation
from services.core.image_headers.kinds import (
    PNG_SIGNATURE,
    Decoder,
    Header,
    check_area,
    damaged,
    truncated,
)

# Chunks are walked one by one; a file of 10 MB in the usual pieces of 8 kB has 1,250.
_MAX_CHUNKS = 50_000
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_GREY, _WITH_ALPHA = 0, (4, 6)
_HEADER_END = 33
# Animation, text, profiles and the like stay behind: decoders unpack some of them.
_NEEDED = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})


def read_png(data: bytes) -> Header:
    """Read the header and walk the chunks to the end."""
    if len(data) < _HEADER_END:
        raise truncated()
    if data[12:16] != b"IHDR":
        raise damaged("it does not begin with its header")
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    check_area(width, height)
    if colour not in _CHANNELS:
        raise damaged("its colour type does not exist")
    transparent = False
    view, upright = memoryview(data), 1
    kept: list[bytes | memoryview] = [PNG_SIGNATURE]
    position = len(PNG_SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        if position + 12 > len(data):
            raise truncated()
        end = position + 12 + int.from_bytes(view[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        if kind in _NEEDED:
            kept.append(view[position:end])
        if kind == b"tRNS":
            transparent = True
        elif kind == b"eXIf":
            upright = orientation(data[position + 8 : end - 4])
        elif kind == b"IEND":
            size = max(1, _CHANNELS[colour] * depth // 8)
            decoder = _decoder(depth, colour, transparent=transparent)
            return Header("png", width, height, decoder, size, upright, b"".join(kept))
        position = end
    raise damaged(f"it has more than {_MAX_CHUNKS} chunks")


def _decoder(depth: int, colour: int, *, transparent: bool) -> Decoder:
    if colour not in _WITH_ALPHA and not transparent:
        return "plain"
    # OpenCV drops the transparency of grey pictures, and widens everything to 16 bits.
    return "other" if depth > 8 or colour == _GREY else "alpha"
