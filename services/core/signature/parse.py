"""Signatures as MLflow writes them into `MLmodel`, and back; nothing of MLflow is imported."""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from services.core.errors import CheckpointError
from services.core.signature.types import COLUMN_TYPES, Field, Param, Signature

# What MLflow calls a column of vectors made by Spark; to a caller it is a list of numbers.
_VECTOR = "sparkml_vector"
_NESTED = {"array", "object", "map"}
_MAX_RANK = 32
Part = TypeVar("Part", Field, Param)


def from_mlflow(mapping: Mapping[str, Any]) -> Signature:
    """Read the mapping under `signature` in an `MLmodel` file.

    `inputs`, `outputs` and `params` are JSON texts, or lists already decoded.

    Raises:
        CheckpointError: it is not a signature.
    """
    return Signature(
        inputs=_parts(mapping, "inputs", _field),
        outputs=_parts(mapping, "outputs", _field),
        params=_parts(mapping, "params", _param),
    )


def to_mlflow(signature: Signature) -> dict[str, str | None]:
    """Return the mapping that `from_mlflow` and `ModelSignature.from_dict` read."""
    return {
        "inputs": _dump([_from_field(item) for item in signature.inputs]),
        "outputs": _dump([_from_field(item) for item in signature.outputs]),
        "params": _dump([_from_param(item) for item in signature.params]),
    }


def _parts(
    mapping: Mapping[str, Any], key: str, read: Callable[[Mapping[str, Any]], Part]
) -> tuple[Part, ...]:
    try:
        found = mapping.get(key)
        if isinstance(found, str):
            found = json.loads(found)
        parts = tuple(read(item) for item in found or ())
        _consistent(parts)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        raise CheckpointError(
            "The model's signature cannot be read.",
            where=f"signature.{key}",
            expected="columns or tensors as MLflow writes them",
        ) from None
    return parts


def _consistent(parts: tuple[Field | Param, ...]) -> None:
    """Refuse two of one name, columns among tensors, and several tensors without names."""
    names = [part.name for part in parts if part.name is not None]
    tensors = sum(part.type == "tensor" for part in parts)
    unnamed = len(parts) - len(names)
    if len(set(names)) != len(names) or tensors not in (0, len(parts)):
        raise ValueError("names")
    if (tensors and unnamed and len(parts) > 1) or unnamed not in (0, len(parts)):
        raise ValueError("names")


def _field(item: Mapping[str, Any]) -> Field:
    raw = item.get("name")
    number = raw if isinstance(raw, int) and not isinstance(raw, bool) else None
    name = None if raw is None else str(raw)
    if item["type"] == "tensor":
        spec = item["tensor-spec"]
        shape = tuple(int(size) for size in spec["shape"])
        if not 1 <= len(shape) <= _MAX_RANK:
            raise ValueError("rank")
        np.dtype(spec["dtype"])
        return Field(name, "tensor", dtype=str(spec["dtype"]), shape=shape, number=number)
    kind, detail = _type(item)
    return Field(
        name,
        kind,
        bool(item.get("required", not item.get("optional", False))),
        detail=detail,
        number=number,
    )


def _type(item: Mapping[str, Any]) -> tuple[str, Mapping[str, Any] | None]:
    kind = item["type"]
    if kind == _VECTOR:
        return "array", {"type": _VECTOR, "items": {"type": "double"}}
    if kind not in COLUMN_TYPES:
        raise ValueError("type")
    if kind not in _NESTED:
        return kind, None
    detail = {key: item[key] for key in ("type", "items", "properties", "values") if key in item}
    _check(detail, 0)
    return kind, detail


def _check(detail: Mapping[str, Any], depth: int) -> None:
    """Refuse a declaration that could not be followed later on."""
    kind = detail["type"]
    if depth > _MAX_RANK or (kind not in COLUMN_TYPES and kind != _VECTOR):
        raise ValueError("type")
    inner = {
        "array": lambda: [detail["items"]],
        "map": lambda: [detail["values"]],
        "object": lambda: list(detail["properties"].values()),
    }.get(kind, list)()
    for part in inner:
        _check(part, depth + 1)


def _param(item: Mapping[str, Any]) -> Param:
    kind = item.get("type") or item["dtype"]
    kind, detail = _type({**item, "type": kind})
    shape = item.get("shape")
    return Param(
        str(item["name"]), kind, item["default"], None if shape is None else tuple(shape), detail
    )


def _from_field(item: Field) -> dict[str, Any]:
    named = {} if item.label is None else {"name": item.label}
    if item.is_tensor:
        spec = {"dtype": item.dtype, "shape": list(item.shape or ())}
        return {**named, "type": "tensor", "tensor-spec": spec}
    return {**_declared(item), **named, "required": item.required}


def _from_param(item: Param) -> dict[str, Any]:
    shape = None if item.shape is None else list(item.shape)
    return {"name": item.name, "default": item.default, "shape": shape, **_declared(item)}


def _declared(item: Field | Param) -> dict[str, Any]:
    if item.detail is None:
        return {"type": item.type}
    if item.detail["type"] == _VECTOR:
        return {"type": _VECTOR}
    return dict(item.detail)


def _dump(items: list[dict[str, Any]]) -> str | None:
    return json.dumps(items) if items else None
