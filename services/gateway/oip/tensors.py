"""A tensor of a request: from JSON or from raw bytes to an array, strictly."""

import struct
from dataclasses import dataclass
from functools import partial
from itertools import chain
from types import NoneType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.received import counted, describe
from services.core.signature.problems import Problems, refuse
from services.core.signature.scalars import objects, to_array
from services.gateway.errors import MalformedRequestError
from services.gateway.oip.datatypes import BYTES, DTYPES

_LENGTH = struct.Struct("<I")
_FLOATS = frozenset({int, float, NoneType})


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A tensor that came.

    Attributes:
        array: of the datatype's NumPy type and the tensor's shape; elements of BYTES are `str`
            where they came as JSON and `bytes` where they came raw.
    """

    name: str
    datatype: str
    array: NDArray[Any]

    @property
    def form(self) -> str:
        """Datatype and shape, for errors: `FP64 [2, 20]`."""
        return f"{self.datatype} {list(self.array.shape)}"


def from_raw(raw: bytes, datatype: str, shape: list[int], count: int, where: str) -> NDArray[Any]:
    """Read a tensor of `count` values from its bytes: little-endian numbers, or BYTES.

    Raises:
        MalformedRequestError: there are not as many bytes as the shape needs.
    """
    dtype = DTYPES[datatype]
    if datatype == BYTES:
        return objects(_elements(raw, count, where)).reshape(shape)
    if len(raw) != count * dtype.itemsize:
        raise MalformedRequestError(
            "The tensor's bytes do not fit its shape.",
            where=where,
            expected=f"{count * dtype.itemsize} bytes for {datatype} {shape}",
            received=counted(len(raw), "byte"),
        )
    if datatype == "BOOL":
        return np.frombuffer(raw, np.uint8).astype(np.bool_).reshape(shape)
    # A copy of its own: what lies in a body cannot be written to, and may be out of line.
    return np.frombuffer(raw, dtype).astype(dtype.newbyteorder("=")).reshape(shape)


def _elements(raw: bytes, count: int, where: str) -> list[bytes]:
    found: list[bytes] = []
    at = 0
    while at < len(raw) and len(found) <= count:
        start = at + _LENGTH.size
        end = start + _LENGTH.unpack_from(raw, at)[0] if start <= len(raw) else len(raw) + 1
        if end > len(raw):
            raise MalformedRequestError(
                f"Element {len(found)} of the tensor is cut off.",
                where=where,
                expected="four bytes of length, little-endian, and as many bytes, for each element",
            )
        found.append(raw[start:end])
        at = end
    if len(found) != count:
        raise MalformedRequestError(
            "The tensor has not as many elements as its shape says.",
            where=where,
            expected=counted(count, "element"),
            received=counted(len(found), "element") if len(found) < count else "more",
        )
    return found


def from_json(data: Any, datatype: str, shape: list[int], count: int, where: str) -> NDArray[Any]:
    """Read a tensor of `count` values from JSON: nested as its shape says, or flat, row-major.

    null, NaN and infinities are values of floating-point tensors.

    Raises:
        InvalidInputError: values of another type or beyond the datatype, another number of them.
    """
    flat, nested = _flat(data, shape, where)
    if len(flat) != count:
        raise refuse(
            where,
            f"has {counted(len(flat), 'value')}",
            f"{counted(count, 'value')}, for the shape {shape}",
        )
    locate = partial(_located, where, shape if nested else None)
    problems = Problems()
    dtype = DTYPES[datatype]
    if datatype == BYTES:
        found = to_array(flat, "str", locate, problems)
    elif dtype.kind == "f":
        found = _floats(flat, dtype, locate, problems)
    else:
        found = to_array(flat, dtype.name, locate, problems)
    problems.settle()
    assert found is not None
    return found.reshape(shape)


def _flat(data: Any, shape: list[int], where: str) -> tuple[list[Any], bool]:
    """Return the values in row-major order, and whether they came nested."""
    if type(data) is not list:
        if not shape and not isinstance(data, dict):
            return [data], False
        raise refuse(where, f"is {describe(data)}", "a list of values", describe(data))
    level, depth = data, 0
    while level and type(level[0]) is list:
        # The first list is the tensor itself, each further one a row of the one around it.
        sizes = set(map(len, level)) if set(map(type, level)) == {list} else set()
        first = depth > 0 or len(level) == (shape[0] if shape else 1)
        depth += 1
        if not first or depth >= len(shape) or sizes != {shape[depth]}:
            raise _ill_nested(data, shape, where)
        level = list(chain.from_iterable(level))
    if depth and level and depth != len(shape) - 1:
        raise _ill_nested(data, shape, where)
    return level, depth > 0


def _ill_nested(data: Any, shape: list[int], where: str) -> Exception:
    return refuse(
        where, "is not nested as the shape says", f"a flat list, or nested as {shape}",
        describe(data),
    )  # fmt: skip


def _located(where: str, shape: list[int] | None, index: int) -> str:
    if shape is None:
        return f"{where}[{index}]"
    return where + "".join(f"[{i}]" for i in np.unravel_index(index, shape))


def _floats(
    values: list[Any], dtype: np.dtype[Any], locate: Any, problems: Problems
) -> NDArray[Any] | None:
    if set(map(type, values)) <= _FLOATS:
        try:
            wide = np.array(values, np.float64)
        except OverflowError:
            # An integer of hundreds of digits: the slow way says which one.
            return to_array(values, dtype.name, locate, problems, nullable=True)
        if dtype == np.float64:
            return wide
        with np.errstate(over="ignore"):
            found = wide.astype(dtype)
        lost = np.isinf(found) & ~np.isinf(wide)
        for index in np.flatnonzero(lost):
            problems.add(locate(int(index)), "is out of range", f"a number within {dtype.name}")
        return found
    return to_array(values, dtype.name, locate, problems, nullable=True)
