"""The heads of a Parquet file's pages: what the pages will really take once they are unpacked.

The footer says it too, but pyarrow goes by the pages: a footer that lies makes it unpack gigabytes
out of a few hundred bytes. A head is a struct in Thrift's compact protocol (parquet.thrift,
`PageHeader`), followed by the page.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap
from typing import Any

# A file in memory, or on disk as if it were.
Raw = bytes | mmap

_DELTA_BYTE_ARRAY = 7
_STOP, _TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _STRUCT = 0, 1, 2, 3, 7, 8, 12
_INTEGERS = (4, 5, 6)
# Digits of seven bits that a 64-bit number has.
_DIGITS = 10
_DEEPEST = 4
# Fields of PageHeader, and of the three kinds of heads within it.
_UNPACKED, _PACKED, _DATA, _DICTIONARY, _DATA_V2 = 2, 3, 5, 7, 8
_VALUES, _ENCODING, _ENCODING_V2 = 1, 2, 4


@dataclass(frozen=True, slots=True)
class Page:
    """One page, as its head declares it.

    Attributes:
        unpacked: bytes after decompression.
        values: how many the page adds to the column; 0 for a dictionary.
        prefixed: texts are written as what differs from the one before, so that they may take far
            more than `unpacked`.
    """

    unpacked: int
    values: int
    prefixed: bool


def pages(raw: Raw, start: int, stop: int) -> Iterator[Page]:
    """Yield the pages that lie between two offsets.

    Raises:
        ValueError: that is no row of pages.
    """
    if not 0 < start <= stop <= len(raw):
        raise ValueError("a column outside of the file")
    while start < stop:
        try:
            head, body = _struct(raw, start, 0)
        except IndexError:
            raise ValueError("a head that is cut off") from None
        unpacked, packed = head.get(_UNPACKED), head.get(_PACKED)
        if type(unpacked) is not int or type(packed) is not int or unpacked < 0 or packed < 0:
            raise ValueError("a head without sizes")
        data, newer = head.get(_DATA), head.get(_DATA_V2)
        values = sum(_count(part) for part in (data, newer) if part is not None)
        if values < 0 or (data is None and newer is None and _DICTIONARY not in head):
            raise ValueError("a page of an unknown kind")
        prefixed = (data or {}).get(_ENCODING) == _DELTA_BYTE_ARRAY
        prefixed |= (newer or {}).get(_ENCODING_V2) == _DELTA_BYTE_ARRAY
        yield Page(unpacked, values, prefixed)
        start = body + packed


def _count(part: Any) -> int:
    values = part.get(_VALUES) if isinstance(part, dict) else None
    if type(values) is not int or values < 0:
        raise ValueError("a head without a count")
    return values


def _struct(raw: Raw, at: int, depth: int) -> tuple[dict[int, Any], int]:
    """Read a struct; return its fields by number, and where it ends."""
    if depth > _DEEPEST:
        raise ValueError("structs too deep")
    found: dict[int, Any] = {}
    number = 0
    while raw[at] != _STOP:
        step, kind = raw[at] >> 4, raw[at] & 15
        at += 1
        if step:
            number += step
        else:
            number, at = _integer(raw, at)
        found[number], at = _value(raw, at, kind, depth)
    return found, at + 1


def _value(raw: Raw, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in (_TRUE, _FALSE):
        return kind == _TRUE, at
    if kind == _BYTE:
        return raw[at], at + 1
    if kind in _INTEGERS:
        return _integer(raw, at)
    if kind == _DOUBLE:
        return None, at + 8
    if kind == _BINARY:
        length, at = _varint(raw, at)
        return None, at + length
    if kind == _STRUCT:
        return _struct(raw, at, depth + 1)
    raise ValueError("a field that no head has")


def _integer(raw: Raw, at: int) -> tuple[int, int]:
    value, at = _varint(raw, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(raw: Raw, at: int) -> tuple[int, int]:
    value = 0
    for digit in range(_DIGITS):
        byte = raw[at]
        at += 1
        value |= (byte & 127) << (7 * digit)
        if byte < 128:
            return value, at
    raise ValueError("a number too long")
