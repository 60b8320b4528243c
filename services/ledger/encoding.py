"""Payloads and outputs as JSON: what every family takes and gives, NumPy's types included."""

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from services.core.json_values import to_json
from services.ledger.privacy import REDACTED, redacted

_OPTIONS = (
    orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS
)
# Longer byte strings are pictures and the like: their digest says enough.
_LONGEST_BYTES = 4096
_DEEPEST = 64


@dataclass(slots=True)
class Parts:
    """How a record holds an input and an output, see `Record`."""

    input: Any
    input_digest: str | None = None
    input_ref: str | None = None
    output_ref: str | None = None
    annotated: str | None = None

    def elsewhere(self) -> dict[str, str]:
        """Return a record's fields that say where its values lie."""
        found = {
            "input_digest": self.input_digest,
            "input_ref": self.input_ref,
            "output_ref": self.output_ref,
            "annotated": self.annotated,
        }
        return {name: value for name, value in found.items() if value is not None}


def json_bytes(value: Any) -> bytes:
    """Return JSON in UTF-8, whatever came: what JSON has no word for is described by its type.

    NaN and infinities are null, bytes base64, dates ISO 8601; text that is not valid Unicode has
    its faulty characters replaced by `?`.
    """
    try:
        return orjson.dumps(value, _default, _OPTIONS)
    except TypeError:
        pass
    try:
        # Numbers as keys; to look out for them takes a fourth of the time.
        return orjson.dumps(value, _default, _OPTIONS | orjson.OPT_NON_STR_KEYS)
    except TypeError:
        # A lone surrogate, an integer beyond 64 bits, or keys of no known kind: the slow way.
        return orjson.dumps(_tame(value), _default, _OPTIONS)


def split(value: Any, hidden: frozenset[str], fields: tuple[str, ...]) -> Any:
    """Return a payload without its hidden fields; rows without names follow `fields`."""
    found = redacted(_tame(value), hidden)
    places = {index for index, name in enumerate(fields) if name in hidden}
    return _by_place(found, fields, places) if places else found


def _by_place(value: Any, fields: tuple[str, ...], places: set[int]) -> Any:
    if isinstance(value, dict):
        if "columns" in value or not value.keys().isdisjoint(fields):
            # Its values have names.
            return value
        return {name: _by_place(item, fields, places) for name, item in value.items()}
    if not isinstance(value, list):
        return value
    if len(value) == len(fields) and not any(isinstance(item, dict | list) for item in value):
        return [REDACTED if index in places else item for index, item in enumerate(value)]
    return [_by_place(item, fields, places) for item in value]


def _default(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, bytes | bytearray | memoryview) and len(value) > _LONGEST_BYTES:
        return {"bytes": len(value), "sha256": hashlib.sha256(value).hexdigest()}
    try:
        return to_json(value)
    except TypeError:
        return f"<{type(value).__name__}>"


def _tame(value: Any, depth: int = 0) -> Any:
    """Return what orjson takes for certain."""
    if depth > _DEEPEST:
        return "<nested too deeply>"
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, int) and not isinstance(value, bool):
        return value if -(2**63) <= value < 2**64 else str(value)
    if isinstance(value, Mapping):
        return {_tame(str(name)): _tame(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_tame(item, depth + 1) for item in value]
    if value is None or isinstance(value, bool | float):
        return value
    found = _default(value)
    return found if isinstance(found, str) else _tame(found, depth + 1)
