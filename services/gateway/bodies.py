"""Read a request's body, packed or not, within the limit that holds for what is unpacked."""

import asyncio
import zlib

from starlette.requests import ClientDisconnect, Request

from services.core.errors import PayloadTooLargeError, UnsupportedMediaError
from services.core.received import counted
from services.gateway.dependencies import get_settings
from services.gateway.errors import MalformedRequestError
from services.gateway.scope import header
from services.gateway.uploads import FORM_ALLOWANCE

# Window bits of zlib's for each coding; deflate is wrapped in zlib's own format (RFC 9110),
# though some clients leave that out.
_CODINGS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_RAW_DEFLATE = -15
# What a caller is told of that was not accepted; another name is its own text.
_OTHERS = frozenset({"br", "compress", "zstd"})
# Beyond it (bytes) unpacking takes milliseconds, which other requests should not wait for.
_SMALL = 16 * 1024


async def read_body(request: Request) -> bytes:
    """Return the body as it was before `Content-Encoding` was applied.

    Raises:
        UnsupportedMediaError: the coding is not gzip, deflate or identity.
        MalformedRequestError: the body is not in the coding it claims, or cut off.
        PayloadTooLargeError: unpacked it is larger than MAX_FILE_SIZE.
    """
    raw = await _received(request)
    coding = header(request.scope, b"content-encoding")
    if coding is None:
        return raw
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return raw
    if coding not in _CODINGS:
        raise UnsupportedMediaError(
            "The body's coding is not known here.",
            where="Content-Encoding",
            expected="gzip, deflate or none",
            received=coding if coding in _OTHERS else "another coding",
        )
    limit = get_settings(request).max_file_size + FORM_ALLOWANCE
    if len(raw) <= _SMALL:
        return _unpacked(raw, coding, limit)
    return await asyncio.to_thread(_unpacked, raw, coding, limit)


async def _received(request: Request) -> bytes:
    """Return the body as it came; quicker than the library's way where it comes in one piece."""
    pieces = []
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _unpacked(raw: bytes, coding: str, limit: int) -> bytes:
    try:
        return _inflate(raw, _CODINGS[coding], limit)
    except zlib.error:
        if coding == "deflate":
            try:
                return _inflate(raw, _RAW_DEFLATE, limit)
            except zlib.error:
                pass
        raise _broken(coding, raw) from None


def _inflate(raw: bytes, bits: int, limit: int) -> bytes:
    unpacker = zlib.decompressobj(bits)
    # One byte more than allowed tells a bomb without unpacking it.
    body = unpacker.decompress(raw, limit + 1)
    if len(body) > limit:
        raise PayloadTooLargeError(
            "The unpacked body is too large.",
            where="body",
            expected=f"at most {limit} bytes",
            received=f"{len(raw)} bytes that unpack into more",
        )
    if not unpacker.eof or unpacker.unused_data:
        raise zlib.error("not one whole stream")
    return body


def _broken(coding: str, raw: bytes) -> MalformedRequestError:
    return MalformedRequestError(
        f"The body cannot be unpacked as {coding}.",
        where="Content-Encoding",
        expected=f"one whole {coding} stream",
        received=f"{counted(len(raw), 'byte')} that are no such stream",
    )
