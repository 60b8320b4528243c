"""Nested lists or arrays into tensors of a declared shape and type."""

import math
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.received import describe
from services.core.signature.arrays import from_array
from services.core.signature.problems import Problems, kind_of
from services.core.signature.scalars import kind_of_dtype, to_array
from services.core.signature.types import Field


def to_tensor(value: Any, field: Field, where: str, problems: Problems) -> NDArray[Any] | None:
    """Convert nested lists, or an array, into one of a tensor's shape and type; None: no fit.

    Text becomes an array of `str` and not of objects, as models that declare text expect it.

    Raises:
        InvalidInputError: enough problems were found.
    """
    shape, dtype = field.shape or (-1,), field.dtype or "float64"
    if isinstance(value, np.ndarray):
        return _converted(value, shape, dtype, where, problems)
    found = _flatten(value, shape)
    if found is None:
        expected = f"nested lists of shape {_written(shape)} of {dtype}"
        misfit = None
        for misfit in _misfits(value, shape, 0, where):
            problems.add(*misfit, expected)
        if misfit is None:
            problems.add(where, "is ragged", expected)
        return None
    sizes, leaves = found
    if not leaves:
        return np.empty(sizes, dtype=dtype)

    array = to_array(leaves, dtype, partial(_located, where, sizes), problems)
    return _shaped(array, dtype, sizes)


def _converted(
    value: NDArray[Any], shape: tuple[int, ...], dtype: str, where: str, problems: Problems
) -> NDArray[Any] | None:
    fits = value.ndim == len(shape) and all(
        wanted in (-1, size) for wanted, size in zip(shape, value.shape, strict=True)
    )
    if not fits:
        expected = f"an array of shape {_written(shape)} of {dtype}"
        problems.add(where, "has another shape", expected, describe(value))
        return None
    sizes = list(value.shape)
    if value.size == 0:
        return np.empty(sizes, dtype=dtype)
    flat = value.reshape(-1)
    array = from_array(flat, dtype, partial(_located, where, sizes), problems)
    return _shaped(array, dtype, sizes)


def _located(where: str, sizes: list[int], index: int) -> str:
    return where + "".join(f"[{i}]" for i in np.unravel_index(index, sizes))


def _shaped(array: NDArray[Any] | None, dtype: str, sizes: list[int]) -> NDArray[Any] | None:
    if array is None:
        return None
    if kind_of_dtype(dtype) in "US":
        array = array.astype(dtype[0] if dtype[0] in "US" else dtype)
    return array.reshape(sizes)


def _flatten(value: Any, shape: tuple[int, ...]) -> tuple[list[int], list[Any]] | None:
    """Return the sizes and the leaves in row-major order; None if it is not of this shape."""
    level, sizes = [value], []
    for depth, wanted in enumerate(shape):
        if set(map(type, level)) != {list}:
            return None
        lengths = set(map(len, level))
        size = lengths.pop()
        if lengths or (wanted != -1 and size != wanted) or (depth and not size):
            return None
        sizes.append(size)
        level = level[0] if depth == 0 else list(chain.from_iterable(level))
        if not level:
            return _empty(shape)
    return sizes, level


def _empty(shape: tuple[int, ...]) -> tuple[list[int], list[Any]]:
    return [0, *(max(size, 0) for size in shape[1:])], []


def _misfits(
    value: Any, shape: tuple[int, ...], depth: int, where: str
) -> Iterator[tuple[str, str]]:
    """Find the lists of a wrong length, and what is no list where one should be."""
    if type(value) is not list:
        yield where, f"is {kind_of(value)} where a list is expected"
        return
    wanted = shape[depth]
    if wanted != -1 and len(value) != wanted:
        yield where, f"has {len(value)} values instead of {wanted}"
    elif not value:
        yield where, "is empty"
    if depth + 1 == len(shape) or not value:
        return
    first = len(value[0]) if type(value[0]) is list else math.nan
    for index, item in enumerate(value):
        ragged = type(item) is list and shape[depth + 1] == -1 and len(item) != first
        if ragged and not math.isnan(first):
            yield f"{where}[{index}]", f"has {len(item)} values where the first has {first}"
        else:
            yield from _misfits(item, shape, depth + 1, f"{where}[{index}]")


def _written(shape: tuple[int, ...]) -> str:
    return "[" + ", ".join("any" if size == -1 else str(size) for size in shape) + "]"
