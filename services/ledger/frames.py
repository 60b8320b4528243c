"""How records lie in a segment file: frames with a length and a checksum.

A frame is 12 bytes of head (magic, kind, length of the payload, CRC-32 of the payload; little
endian) and the payload. What follows a torn or damaged frame is found again by the magic.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

_HEAD = struct.Struct("<3sBII")
_MAGIC = b"\xa5SL"
HEAD_BYTES = _HEAD.size
# A frame that claims more is damaged: nothing writes such.
MAX_PAYLOAD = 64 * 1024 * 1024

HEADER, PREDICTION = 0, 1


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as found: it lies at `start`, the next one at `end`."""

    kind: int
    payload: bytes
    start: int
    end: int


@dataclass(slots=True)
class Scan:
    """How far a scan came.

    Attributes:
        end: behind the last whole frame; where to go on when more was written.
        damaged: bytes between frames that belong to none.
        rest: bytes behind `end` that are no whole frame (yet).
    """

    end: int
    damaged: int = 0
    rest: int = 0


def encode(kind: int, payload: bytes) -> bytes:
    """Return the frame of a payload."""
    return _HEAD.pack(_MAGIC, kind, len(payload), zlib.crc32(payload)) + payload


def scan(data: bytes, state: Scan, base: int = 0) -> Iterator[Frame]:
    """Yield the whole frames of `data`, which lies at `base` in its file; `state` is kept current.

    Bytes that are no frame are skipped if a whole frame follows, and else left as the rest.
    """
    place = 0
    while True:
        found = _whole(data, place)
        start = place
        while found is None:
            start = data.find(_MAGIC, start + 1)
            if start < 0:
                state.rest = len(data) - place
                return
            found = _whole(data, start)
        state.damaged += start - place
        kind, payload = found
        place = start + HEAD_BYTES + len(payload)
        state.end = base + place
        state.rest = len(data) - place
        yield Frame(kind, payload, base + start, base + place)


def _whole(data: bytes, place: int) -> tuple[int, bytes] | None:
    if place + HEAD_BYTES > len(data):
        return None
    magic, kind, length, checksum = _HEAD.unpack_from(data, place)
    end = place + HEAD_BYTES + length
    if magic != _MAGIC or length > MAX_PAYLOAD or end > len(data):
        return None
    payload = data[place + HEAD_BYTES : end]
    return (kind, payload) if zlib.crc32(payload) == checksum else None
