"""A made-up payload that fits a signature, for models that came without an example."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from services.core.signature.types import Field, Signature

_VALUES: dict[str, Any] = {
    "boolean": True,
    "integer": 1,
    "long": 1,
    "float": 0.5,
    "double": 0.5,
    "string": "text",
    "binary": "dGV4dA==",
    "datetime": "2024-05-01T12:30:00",
    "any": "text",
}
_OF_KIND: dict[str, Any] = {
    "b": True,
    "i": 1,
    "u": 1,
    "f": 0.5,
    "U": "text",
    "S": "dGV4dA==",
    "M": "2024-05-01T12:30:00",
    "O": "text",
}


def example_of(signature: Signature) -> dict[str, Any]:
    """Return `{"inputs": …}` of one row; sizes that a tensor leaves open are 1."""
    fields = signature.inputs
    if fields and fields[0].is_tensor:
        if fields[0].name is None:
            return {"inputs": _tensor(fields[0])}
        return {"inputs": {field.name: _tensor(field) for field in fields}}
    row = [_value(field.detail or {"type": field.type}) for field in fields]
    if any(field.name is None for field in fields):
        return {"inputs": [row]}
    return {"inputs": [dict(zip((field.name for field in fields), row, strict=True))]}


def _tensor(field: Field) -> Any:
    value = _OF_KIND.get(np.dtype(field.dtype).kind)
    for size in reversed(field.shape or (-1,)):
        value = [value] * max(size, 1)
    return value


def _value(declared: Mapping[str, Any]) -> Any:
    kind = declared["type"]
    if kind == "array":
        return [_value(declared["items"])]
    if kind == "sparkml_vector":
        return [_VALUES["double"]]
    if kind == "map":
        return {"name": _value(declared["values"])}
    if kind == "object":
        return {name: _value(part) for name, part in declared["properties"].items()}
    return _VALUES[kind]
