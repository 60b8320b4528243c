"""The answer of an inference: JSON, or JSON with raw bytes behind it, packed if the caller asks."""

import asyncio
import zlib

from starlette.requests import Request
from starlette.responses import Response

from services.gateway.oip.decode import HEAD_LENGTH
from services.gateway.reply import Reply

# Window bits of zlib's for each coding; the first one that the caller takes is used.
_CODINGS = {"gzip": 31, "deflate": 15}
# Below it (bytes) packing gains nothing worth its time, beyond the other it goes to a thread.
_WORTH, _SMALL = 1024, 32 * 1024
# The quickest: numbers hardly get smaller with more effort.
_LEVEL = 1


async def reply(
    request: Request, body: bytes, head_length: int | None, prediction_id: str
) -> Response:
    """Return a 200 with what `encode.answer` returned."""
    coding = _coding(request) if len(body) >= _WORTH else None
    if coding is None and head_length is None:
        return Reply(body, prediction_id)
    headers = {"X-Prediction-ID": prediction_id}
    kind = "application/json"
    if head_length is not None:
        headers[HEAD_LENGTH] = str(head_length)
        kind = "application/octet-stream"
    if coding is not None:
        headers |= {"Content-Encoding": coding, "Vary": "Accept-Encoding"}
        if len(body) <= _SMALL:
            body = _packed(body, coding)
        else:
            body = await asyncio.to_thread(_packed, body, coding)
    return Response(body, media_type=kind, headers=headers)


def _coding(request: Request) -> str | None:
    """Return the coding that the caller would have, if it names one that is known here."""
    accepted = request.headers.get("accept-encoding")
    if accepted is None:
        return None
    found = set()
    for part in accepted.lower().split(","):
        name, _, weight = part.partition(";")
        if weight.strip().removeprefix("q=").strip("0.") or not weight:
            found.add(name.strip())
    return next((coding for coding in _CODINGS if coding in found), None)


def _packed(body: bytes, coding: str) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _CODINGS[coding])
    return packer.compress(body) + packer.flush()
