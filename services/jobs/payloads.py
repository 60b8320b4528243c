"""What goes into a job and what comes out of it, as its row and the blobs hold it.

A family says how its payloads and outputs are written: JSON values, and bytes. What is small stands
in the row itself, as `about` and `text` (or `base64`); else both are a blob that the row names: a
line of JSON, then the bytes.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from services.core import packing
from services.core.errors import NotFoundError
from services.core.json_values import to_json
from services.families import discover
from services.families._packing import Packing
from services.families._picture_packing import PicturePacking
from services.families.base import Family, Picture
from services.jobs.blobs import Blobs
from services.ledger.database.job_rows import Job

# The option of a job that holds, or names, its payload.
PAYLOAD = "payload"
_FAMILY, _ABOUT, _TEXT, _BASE64, _REF = "family", "about", "text", "base64", "ref"

# For values of no family, or of one that only this process knows.
_PLAIN = PicturePacking()
# What a family's hooks give: JSON values that say how to read the bytes, and the bytes.
_Written = tuple[dict[str, Any], bytes | None]


@dataclass(frozen=True, slots=True)
class Packed:
    """A payload on its way into a row.

    Attributes:
        options: to be added to the job's.
        ref: name of the blob that has it; None: it stands in the options, or there is none.
        fingerprint_bytes: equal only for equal payloads.
    """

    options: dict[str, Any]
    ref: str | None
    fingerprint_bytes: bytes


def pack(
    payload: Any, blobs: Blobs, inline_bytes: int, family: str | None = None, ref: str | None = None
) -> Packed:
    """Return how a job holds its payload; a large one is a blob when this returns.

    Args:
        family: whose hooks write it; its type tells where that is not said.
        ref: the payload is this blob already.

    Raises:
        LedgerFullError: the store of blobs takes no more.
    """
    if ref is not None or payload is None:
        return Packed({}, ref, (ref or "").encode())
    family = _known(family) or _family_of(payload)
    written = _packing(family).pack_payload(payload)
    held = _hold(written, family, blobs, inline_bytes)
    return Packed({PAYLOAD: held}, held.get(_REF), (family or "").encode() + _whole(written))


def unpack(job: Job, blobs: Blobs) -> Any:
    """Return a job's payload as it was given; None where it had none, or is a blob of its own.

    Raises:
        NotFoundError: its blob is gone.
        CheckpointError: its blob is damaged.
    """
    held = job.options.get(PAYLOAD)
    return None if held is None else _read(held, blobs, output=False)


def pack_output(family: str | None, output: Any, blobs: Blobs, inline_bytes: int) -> dict[str, Any]:
    """Return JSON values that hold an output, or name the blob that does.

    Raises:
        LedgerFullError: the store of blobs takes no more.
    """
    family = _known(family)
    return _hold(_packing(family).pack_output(output), family, blobs, inline_bytes)


def unpack_output(held: Mapping[str, Any], blobs: Blobs) -> Any:
    """Return the output that `pack_output` was given; raises as `unpack` does."""
    return _read(held, blobs, output=True)


def unpack_result(result: Any, blobs: Blobs) -> Any:
    """Return a job's result, with its output (if it has one) unpacked; raises as `unpack`."""
    if isinstance(result, Mapping) and isinstance(result.get("output"), Mapping):
        return {**result, "output": unpack_output(result["output"], blobs)}
    return result


def inline_json(held: Any) -> Any:
    """Return an output that stands in the row, as JSON; None: it lies elsewhere, or is no JSON."""
    if not isinstance(held, Mapping) or _TEXT not in held:
        return None
    about = held.get(_ABOUT, {})
    if not packing.is_json(about):
        return None
    return to_json(packing.unpack(about, str(held[_TEXT]).encode()))


def ref_of(result: Any) -> str | None:
    """Return the blob that a result, or its output, names."""
    if not isinstance(result, Mapping):
        return None
    ref = result.get(_REF)
    if isinstance(ref, str):
        return ref
    return ref_of(result.get("output"))


@lru_cache(maxsize=1)
def _families() -> dict[str, Family]:
    return discover()


def _known(family: str | None) -> str | None:
    """Return the family if it is one that says how to write: else there are JSON and pictures."""
    return family if family in _families() else None


def _family_of(payload: Any) -> str | None:
    """Return the family whose own type a payload is of; None: JSON values are everybody's."""
    if not isinstance(payload, Picture):
        return None
    named = _families().items()
    return next((name for name, one in named if one.payload_type is type(payload)), None)


def _packing(family: str | None) -> Packing:
    """Return how values of a family are written and read.

    Raises:
        NotFoundError: there is no such family.
    """
    if family is None:
        return _PLAIN
    try:
        return _families()[family]
    except KeyError:
        raise NotFoundError(
            "The family of this job's model is not here (any more).", where="family"
        ) from None


def _read(held: Mapping[str, Any], blobs: Blobs, *, output: bool) -> Any:
    about, data = _written(held, blobs)
    packing = _packing(held.get(_FAMILY))
    if output:
        return packing.unpack_output(about, data)
    return packing.unpack_payload(about, data or b"")


def _hold(written: _Written, family: str | None, blobs: Blobs, inline_bytes: int) -> dict[str, Any]:
    about, data = written
    held: dict[str, Any] = {} if family is None else {_FAMILY: family}
    whole = _whole(written)
    if len(whole) > inline_bytes:
        return held | {_REF: blobs.put(whole)}
    held[_ABOUT] = about
    if data is None:
        return held
    try:
        return held | {_TEXT: data.decode()}
    except UnicodeDecodeError:
        return held | {_BASE64: base64.b64encode(data).decode("ascii")}


def _whole(written: _Written) -> bytes:
    """Return all of it as the bytes of a blob; its first line says whether there are any."""
    about, data = written
    head = orjson.dumps([about, data is not None])
    return head + b"\n" + (data or b"")


def _written(held: Mapping[str, Any], blobs: Blobs) -> _Written:
    if _REF in held:
        head, _, data = blobs.get(held[_REF]).partition(b"\n")
        about, has_data = orjson.loads(head)
        return about, data if has_data else None
    if _TEXT in held:
        return held[_ABOUT], str(held[_TEXT]).encode()
    return held[_ABOUT], base64.b64decode(held[_BASE64]) if _BASE64 in held else None
