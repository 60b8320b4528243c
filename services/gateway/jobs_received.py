"""The body of `POST /jobs/batch` on its way to disk: in pieces, unpacked, and told by its kind."""

import asyncio
import os
import shutil
import tempfile
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from typing import BinaryIO

from starlette.datastructures import UploadFile
from starlette.requests import Request

from services.core.errors import (
    InvalidInputError,
    LedgerFullError,
    PayloadTooLargeError,
    UnsupportedMediaError,
)
from services.gateway.dependencies import get_settings
from services.gateway.errors import MalformedRequestError
from services.gateway.json_body import media_type
from services.gateway.media import media_received
from services.gateway.scope import header
from services.gateway.uploads import FIELD, FORM, read_form

JSONL, CSV, PARQUET, ZIP = "jsonl", "csv", "parquet", "zip"
KINDS = {
    "application/x-ndjson": JSONL,
    "application/ndjson": JSONL,
    "application/jsonl": JSONL,
    "application/x-jsonlines": JSONL,
    "text/csv": CSV,
    "application/vnd.apache.parquet": PARQUET,
    "application/x-parquet": PARQUET,
    "application/parquet": PARQUET,
    "application/zip": ZIP,
    "application/x-zip-compressed": ZIP,
}
_SUFFIXES = {".jsonl": JSONL, ".ndjson": JSONL, ".csv": CSV, ".parquet": PARQUET, ".zip": ZIP}
_MAGIC = {b"PK\x03\x04": ZIP, b"PK\x05\x06": ZIP, b"PAR1": PARQUET}
EXPECTED = (
    "application/x-ndjson, text/csv, application/vnd.apache.parquet or application/zip; or a form"
    " (multipart/form-data) with one of these in the field file"
)
_PIECE = 1024 * 1024
_GZIP = 31


@dataclass(frozen=True, slots=True)
class Received:
    """A body as it came, on disk.

    Attributes:
        charset: as the header says it; empty if it does not.
    """

    file: BinaryIO
    kind: str
    charset: str = ""


@asynccontextmanager
async def received(request: Request) -> AsyncIterator[Received]:
    """Read the body into a file that goes with the block.

    Raises:
        UnsupportedMediaError: its kind is not known here.
        MalformedRequestError: a form is broken, or what is packed is not what it claims.
        InvalidInputError: it is empty, or a form without a file.
        PayloadTooLargeError: it has more than BATCH_MAX_BYTES.
        LedgerFullError: the disk takes no more.
    """
    kind = media_type(request)
    if kind != FORM and kind not in KINDS:
        raise UnsupportedMediaError(
            "The body is of a media type that is not taken here.",
            where="Content-Type",
            expected=EXPECTED,
            received=media_received(kind),
        )
    most = get_settings(request).batch_max_bytes
    with disk_errors():
        file = await asyncio.to_thread(_new_file, request)
    with file:
        with disk_errors():
            if kind == FORM:
                found = Received(file, await _form(request, file, most))
            else:
                await _raw(request, file, most)
                found = Received(file, KINDS[kind], _charset(request))
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
        if size == 0:
            raise InvalidInputError(
                "The body is empty.", where="body", expected=EXPECTED, received="nothing"
            )
        yield found


@contextmanager
def disk_errors() -> Iterator[None]:
    """Say of a disk that takes no more that there is no room."""
    try:
        yield
    except OSError as error:
        raise LedgerFullError(
            "There is no room for the body now.", where="body", retry_after=5
        ) from error


def _new_file(request: Request) -> BinaryIO:
    folder = get_settings(request).data_dir / "jobs" / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    # Without a name: whatever ends this process, nothing is left behind.
    return tempfile.TemporaryFile(dir=folder)


async def _raw(request: Request, file: BinaryIO, most: int) -> None:
    unpacker = _unpacker(request)
    held, size = bytearray(), 0
    async for piece in request.stream():
        for part in _unpacked(unpacker, piece, most - size):
            size += len(part)
            held += part
        if size > most:
            raise _too_large(most)
        if len(held) >= _PIECE:
            await asyncio.to_thread(file.write, held)
            held = bytearray()
    if unpacker is not None and not unpacker.eof:
        raise _broken()
    await asyncio.to_thread(file.write, held)


def _unpacked(unpacker: "zlib._Decompress | None", piece: bytes, left: int) -> Iterator[bytes]:
    """Yield what a piece holds, and a byte more than `left` at most."""
    if unpacker is None:
        yield piece
        return
    try:
        part = unpacker.decompress(piece, left + 1)
    except zlib.error:
        raise _broken() from None
    if unpacker.unused_data or (unpacker.unconsumed_tail and len(part) <= left):
        raise _broken()
    yield part


def _unpacker(request: Request) -> "zlib._Decompress | None":
    coding = (header(request.scope, b"content-encoding") or "").strip().lower()
    if coding in ("", "identity"):
        return None
    if coding in ("gzip", "x-gzip"):
        return zlib.decompressobj(_GZIP)
    raise UnsupportedMediaError(
        "The body's coding is not known here.",
        where="Content-Encoding",
        expected="gzip or none",
        received="another coding",
    )


async def _form(request: Request, file: BinaryIO, most: int) -> str:
    form = await read_form(request, most, in_memory=False)
    try:
        part = form.get(FIELD)
        if not isinstance(part, UploadFile):
            raise InvalidInputError(
                f"The form has no file in the field {FIELD}.",
                where=FIELD,
                expected=f"a file in the form field {FIELD} (with a filename)",
                received="text" if FIELD in form else "no such field",
            )
        if (part.size or 0) > most:
            raise _too_large(most)
        await asyncio.to_thread(shutil.copyfileobj, part.file, file, _PIECE)
        file.seek(0)
        return _kind_of(part, file)
    finally:
        await form.close()


def _kind_of(part: UploadFile, file: BinaryIO) -> str:
    """Return the kind of a form's file: by its first bytes, its label, or its name."""
    magic = _MAGIC.get(file.read(4))
    label = (part.content_type or "").partition(";")[0].strip().lower()
    named = _SUFFIXES.get(PurePath(part.filename or "").suffix.lower())
    found = magic or KINDS.get(label) or named
    if found is None:
        raise UnsupportedMediaError(
            "The file's kind is not known here.",
            where=FIELD,
            expected="a ZIP of pictures, .jsonl, .csv or .parquet",
            received=media_received(label),
        )
    return found


def _charset(request: Request) -> str:
    for part in request.headers.get("content-type", "").split(";")[1:]:
        name, _, value = part.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower()
    return ""


def _too_large(most: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(
        "The request's body is too large.",
        where="body",
        expected=f"at most {most} bytes (BATCH_MAX_BYTES)",
    )


def _broken() -> MalformedRequestError:
    return MalformedRequestError(
        "The body cannot be unpacked as gzip.",
        where="Content-Encoding",
        expected="one whole gzip stream",
    )
