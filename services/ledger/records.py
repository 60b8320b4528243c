"""The record of one prediction: what stands in the journal, in the database and in MLflow."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from services.core.errors import InvalidInputError

VERSION = 1
SUCCEEDED, FAILED, CANCELED = "succeeded", "failed", "canceled"


# Not frozen, though nobody changes one: that would take four times as long to make.
@dataclass(slots=True)
class Record:
    """A prediction as it was made.

    Attributes:
        id: of the prediction, a UUID of version 7.
        time: when it was admitted, in seconds since 1970 (UTC), by this machine's clock.
        seconds: from admission to its end.
        stage: of the version at that time, such as `Production`.
        mode: how it was asked for.
        caller: who asked, where that is known.
        status: `succeeded`, `failed` or `canceled`.
        family: of the version, so that its answer can be read; None in older records.
        error: `code`, `message`, `where`, `expected` and `phase`; None where it succeeded.
        input, output: JSON values; None where they are left out or lie beside the journal.
        input_digest: `sha256:` and 64 hex digits, of the picture or of the input's JSON.
        input_ref, output_ref, annotated: names of files among the blobs.
        phases: seconds by phase (`queue`, `preprocess`, `inference`, `postprocess`).
        confidence: mean of the scores in the output.
        cached: the output was kept from an equal request.
        raw: the JSON that all this was read from.
    """

    id: str
    time: float
    seconds: float
    model: str
    version: str
    stage: str | None
    mode: str
    caller: str | None
    request_id: str | None
    status: str
    error: dict[str, Any] | None
    input: Any
    input_digest: str | None
    input_ref: str | None
    output: Any
    output_ref: str | None
    phases: dict[str, float] | None
    confidence: float | None
    cached: bool
    annotated: str | None
    raw: bytes
    family: str | None = None


_FIELDS = [name for name in Record.__slots__ if name != "raw"]
_NEEDED: dict[str, type | tuple[type, ...]] = {
    "id": str,
    "time": (int, float),
    "seconds": (int, float),
    "model": str,
    "version": str,
    "mode": str,
    "status": str,
}
_NOTHING = type(None)
_OPTIONAL: dict[str, tuple[type, ...]] = {
    "stage": (str, _NOTHING),
    "caller": (str, _NOTHING),
    "request_id": (str, _NOTHING),
    "error": (dict, _NOTHING),
    "input_digest": (str, _NOTHING),
    "input_ref": (str, _NOTHING),
    "output_ref": (str, _NOTHING),
    "phases": (dict, _NOTHING),
    "confidence": (int, float, _NOTHING),
    "annotated": (str, _NOTHING),
    "family": (str, _NOTHING),
}


def parse(payload: bytes) -> Record:
    """Read a record.

    Raises:
        InvalidInputError: it is none.
    """
    try:
        found = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise InvalidInputError("The record is not JSON.", where="record") from error
    if not isinstance(found, dict):
        raise InvalidInputError("The record is no object.", where="record")
    for name, kind in _NEEDED.items():
        if not isinstance(found.get(name), kind):
            raise InvalidInputError("The record is not complete.", where=name)
    for name, kind in _OPTIONAL.items():
        if not isinstance(found.get(name), kind):
            raise InvalidInputError("The record has a field of another kind.", where=name)
    found["cached"] = found.get("cached") is True
    values: dict[str, Any] = {name: found.get(name) for name in _FIELDS}
    return Record(**values, raw=payload)


def day(record: Record) -> str:
    """Return the day of a record, `2026-11-21` (UTC)."""
    return datetime.fromtimestamp(record.time, UTC).strftime("%Y-%m-%d")


def trace_id(prediction_id: str) -> str:
    """Return the id of a prediction's trace in MLflow."""
    return "tr-" + prediction_id.replace("-", "")
