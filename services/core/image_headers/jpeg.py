"""JPEG (ITU-T T.81): frame, scans, end, and what of its segments a decoder needs."""

import re
import struct
from typing import NamedTuple

from services.core.image_headers.exif import orientation
from services.core.image_headers.kinds import Header, check_area, damaged, truncated

# A decoder walks the whole picture once per progressive scan: thousands of empty scans in a
# small file would keep it busy for minutes. Encoders write about 10.
_MAX_SCANS = 30
# Segments are walked one by one; real files have some dozens.
_MAX_SEGMENTS = 2_000
# Filling between segments is allowed, and rare. Decoders skip it byte by byte.
_MAX_PADDING = 64

_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2
_HUFFMAN_FRAMES = frozenset({_BASELINE, _EXTENDED, _PROGRESSIVE})
_OTHER_FRAMES = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
# 0 is no marker but a stuffed byte in the wrong place, which decoders skip as well.
_STANDALONE = frozenset({0x00, 0x01, *range(0xD0, 0xD8)})
_START, _END, _SCAN = b"\xff\xd8", 0xD9, 0xDA
_EXIF, _COMMENT = 0xE1, 0xFE
# JFIF (0) and Adobe's (14) say how colours are stored; the rest of 0 to 15 is metadata.
_METADATA = frozenset({*range(0xE0, 0xF0), _COMMENT}) - {0xE0, 0xEE}
# Any number of 0xFF may come before a marker; this finds the last, in linear time.
_MARKER = re.compile(rb"\xff[^\xff]", re.DOTALL)


class _Segment(NamedTuple):
    marker: int
    begin: int
    body: int
    end: int


class _Frame(NamedTuple):
    width: int
    height: int
    channels: int


def read_jpeg(data: bytes) -> Header:
    """Walk the segments up to the first scan, then look for the end marker."""
    position, frame, upright = 2, None, 1
    kept = [_START]
    for _ in range(_MAX_SEGMENTS):
        segment = _next(data, position)
        if segment.marker == _SCAN:
            return _header(data, segment.begin, frame, upright, kept)
        body = data[segment.body : segment.end]
        if segment.marker in _HUFFMAN_FRAMES and frame is None:
            frame = _read_frame(body)
        elif segment.marker == _EXIF and upright == 1 and body.startswith(b"Exif\x00\x00"):
            upright = orientation(body)
        if segment.marker not in _METADATA:
            kept.append(data[segment.begin : segment.end])
        position = segment.end
    raise damaged(f"more than {_MAX_SEGMENTS} segments come before the picture")


def _next(data: bytes, position: int) -> _Segment:
    found = _MARKER.search(data, position)
    if found is None:
        raise truncated()
    begin, marker, body = found.start(), found[0][1], found.end()
    if begin - position > _MAX_PADDING:
        raise damaged("there is filling between its segments")
    if marker in _STANDALONE:
        return _Segment(marker, begin, body, body)
    if marker == _END:
        raise damaged("it ends before its first scan")
    if marker in _OTHER_FRAMES:
        raise damaged("lossless, hierarchical and arithmetic JPEG are not supported")
    if body + 2 > len(data):
        raise truncated()
    length = int.from_bytes(data[body : body + 2], "big")
    if length < 2:
        raise damaged("a segment has no length")
    return _Segment(marker, begin, body + 2, body + length)


def _read_frame(body: bytes) -> _Frame:
    if len(body) < 6:
        raise truncated()
    bits, height, width, channels = struct.unpack(">BHHB", body[:6])
    if bits != 8:
        raise damaged(f"JPEG of {bits} bits a channel is not supported")
    check_area(width, height)
    return _Frame(width, height, channels)


def _header(
    data: bytes, scan: int, frame: _Frame | None, upright: int, kept: list[bytes]
) -> Header:
    if frame is None:
        raise damaged("a scan comes before the frame that says its size")
    # 0xFF is always stuffed inside a scan, so these two byte pairs can only be markers there.
    if data.count(b"\xff\xda", scan) > _MAX_SCANS:
        raise damaged(f"it has more than {_MAX_SCANS} scans")
    if data.find(b"\xff\xd9", scan) < 0:
        raise truncated()
    return Header(
        "jpeg",
        frame.width,
        frame.height,
        "plain" if frame.channels in (1, 3) else "other",
        frame.channels,
        upright,
        b"".join([*kept, memoryview(data)[scan:]]),
    )
