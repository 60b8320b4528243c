"""Signatures: named columns or tensors, and parameters. The words are MLflow's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# MLflow's column types, and the NumPy type of each (`any` and `datetime` stay Python objects).
COLUMN_TYPES = {
    "boolean": "bool",
    "integer": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "string": "str",
    "binary": "bytes",
    "datetime": "datetime64[ns]",
    "array": "object",
    "object": "object",
    "map": "object",
    "any": "object",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One column or one tensor.

    Attributes:
        name: None for the only column or tensor of a model, where it has no name.
        type: a key of `COLUMN_TYPES`, or `tensor`.
        required: whether a row may leave it out, or give null.
        dtype: of a tensor: its NumPy type's name.
        shape: of a tensor: its dimensions, -1 for any; the first one counts the rows.
        detail: of an array, object or map: its declaration in MLflow's own form.
        number: the column's name where that is a whole number; `name` is its digits then.
    """

    name: str | None
    type: str
    required: bool = True
    dtype: str | None = None
    shape: tuple[int, ...] | None = None
    detail: Mapping[str, Any] | None = None
    number: int | None = None

    @property
    def label(self) -> str | int | None:
        """The name as the model itself knows it: a table made of an array has 0, 1, 2 …"""
        return self.name if self.number is None else self.number

    @property
    def is_tensor(self) -> bool:
        """Whether this is a tensor rather than a column."""
        return self.type == "tensor"


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of inference; `shape` is None for one value and (-1,) for a list.

    `default` is a JSON value; `detail` is the declaration of an object, as in `Field`.
    """

    name: str
    type: str
    default: Any
    shape: tuple[int, ...] | None = None
    detail: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs and outputs of a model; empty outputs mean that they are unknown."""

    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...] = ()
    params: tuple[Param, ...] = ()
