"""A batch's body checked, and brought into one of the two forms that workers read.

Lines of JSON stay as they came; a table becomes such lines, typed by the model's signature; an
archive of pictures stays as it is. All of it in a thread, with a few rows in memory at a time.
"""

import mmap
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from services.core.errors import InvalidInputError, PayloadTooLargeError, UnsupportedMediaError
from services.core.settings import Settings
from services.core.signature import Signature
from services.gateway.errors import MalformedRequestError
from services.gateway.jobs_received import CSV, JSONL, PARQUET, ZIP, Received, disk_errors
from services.gateway.json_body import parse
from services.gateway.tables import csv_body, parquet_body
from services.gateway.tables.given import Given
from services.jobs import zips
from services.jobs.batches import JSONL as LINES
from services.jobs.batches import ZIP as ARCHIVE
from services.jobs.blobs import Blobs
from services.ledger.encoding import json_bytes

TABLES = (CSV, PARQUET)
_UTF_8 = ("", "utf-8", "utf8")
# By so much what is unpacked may be larger than a body may be. Pictures hardly pack.
_UNPACKED = 4
# Each file of an archive has an entry with this mark; macOS makes two of each, folders more.
_ENTRY = re.compile(rb"PK\x01\x02")
_ENTRIES, _FEW = 4, 1000


@dataclass(frozen=True, slots=True)
class Stored:
    """A payload among the blobs: `kind` in the worker's words, and how many items it has."""

    ref: str
    kind: str
    items: int


def store(body: Received, signature: Signature | None, settings: Settings, blobs: Blobs) -> Stored:
    """Check a body and keep it.

    Args:
        signature: of the model, for tables.

    Raises:
        InvalidInputError: it cannot be read, or is too large; says where.
        LedgerFullError, LedgerUnavailableError: it cannot be kept now.
    """
    if body.kind == ZIP:
        count = _archive(body.file, settings)
        return Stored(blobs.put_file(body.file, ARCHIVE), ARCHIVE, count)
    if body.kind == JSONL:
        count = _lines(body, settings)
        return Stored(blobs.put_file(body.file, LINES), LINES, count)
    with disk_errors(), tempfile.TemporaryFile(dir=_folder(settings)) as file:
        count = 0
        for given in _pieces(body, signature, settings):
            lines = [json_bytes({"inputs": row}) for row in _rows(given, signature)]
            file.write(b"\n".join([*lines, b""]) if lines else b"")
            count += len(lines)
        _check_some(count)
        return Stored(blobs.put_file(file, LINES), LINES, count)


def _folder(settings: Settings) -> Path:
    return settings.data_dir / "jobs" / "tmp"


def _lines(body: Received, settings: Settings) -> int:
    """Return how many lines of JSON there are."""
    if body.charset not in _UTF_8:
        raise UnsupportedMediaError(
            "JSON is only taken in UTF-8.", where="Content-Type", expected="charset=utf-8"
        )
    count = number = 0
    longest = settings.max_file_size
    while line := body.file.readline(longest + 2):
        number += 1
        if len(line.rstrip(b"\r\n")) > longest:
            raise PayloadTooLargeError(
                f"Line {number} is too long.",
                where=f"line {number}",
                expected=f"at most {longest} bytes (MAX_FILE_SIZE)",
            )
        if not line.strip():
            continue
        count += 1
        _check_count(count, settings)
        _check_line(line, number)
    _check_some(count)
    return count


def _check_line(line: bytes, number: int) -> None:
    try:
        parse(line)
    except MalformedRequestError as error:
        # It speaks of the body, which here is this line.
        error.message = f"Line {number}: {error.message}"
        error.where = f"line {number}"
        error.expected = "one JSON value on each line, at most 64 levels deep, each key once"
        raise


def _pieces(body: Received, signature: Signature | None, settings: Settings) -> Iterator[Given]:
    most = settings.batch_max_items
    if body.kind == CSV:
        yield from csv_body.pieces(body.file, body.charset, signature, most, settings.max_file_size)
        return
    # Closed by whoever lets go of it last: the library's readers hold on to it.
    raw = mmap.mmap(body.file.fileno(), 0, access=mmap.ACCESS_READ)
    unpacked = _UNPACKED * settings.batch_max_bytes
    yield from parquet_body.pieces(raw, signature, most, unpacked)


def _rows(given: Given, signature: Signature | None) -> Iterator[Any]:
    """Yield each row by itself, in a form that a model takes for `inputs`."""
    inputs = given.inputs
    if not isinstance(inputs, dict):
        yield from ([row] for row in inputs)
        return
    # Tensors have no records, only columns.
    tensors = signature is not None and any(field.is_tensor for field in signature.inputs)
    for values in zip(*inputs.values(), strict=True):
        row = dict(zip(inputs, values, strict=True))
        yield {name: [value] for name, value in row.items()} if tensors else [row]


def _archive(file: BinaryIO, settings: Settings) -> int:
    """Return how many pictures there are."""
    most = settings.batch_max_items
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
        # Before anybody makes an object of each.
        entries = sum(1 for _ in _ENTRY.finditer(raw))
    if entries > _ENTRIES * most + _FEW:
        raise _too_many(most)
    total = _UNPACKED * settings.batch_max_bytes
    try:
        with zips.opened(file) as archive:
            found = zips.files(archive)
            zips.check(found, most, settings.max_file_size, total)
            return len(found)
    except zips.BrokenZipError as error:
        raise MalformedRequestError(
            "The archive cannot be read.", where="body", expected="one whole ZIP archive"
        ) from error


def _check_count(count: int, settings: Settings) -> None:
    if count > settings.batch_max_items:
        raise _too_many(settings.batch_max_items)


def _check_some(count: int) -> None:
    if count == 0:
        raise InvalidInputError(
            "The body has no items.", where="body", expected="at least one", received="none"
        )


def _too_many(most: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(
        "The body has too many items.", where="body", expected=f"at most {most} (BATCH_MAX_ITEMS)"
    )
