"""What came, as type and shape: for errors, which never repeat the value."""

import math
from collections.abc import Mapping
from itertools import chain
from typing import Any

# How many values are looked at, and how many lists within each other: input may be hostile.
_MANY = 4096
_DEEPEST = 8
_PLURALS: dict[type, str] = {
    bool: "truth values",
    int: "numbers",
    float: "numbers",
    str: "texts",
    list: "lists",
    tuple: "lists",
    dict: "objects",
    bytes: "files",
    type(None): "nulls",
}


def describe(value: Any) -> str:
    """Say what a value is, in a time that does not depend on its size.

    `text of 12 characters`, `a list of 19 numbers`, `a list [3][20] of numbers`, `an object with 2
    fields`, `float32 [2, 5]`, `120 bytes`.
    """
    # Only for an error: the command line prints its help without it.
    import numpy as np

    if value is None:
        return "null"
    if isinstance(value, bool | np.bool_):
        return "true or false"
    if isinstance(value, float | np.floating):
        return "a number" if math.isfinite(value) else "a number that is not finite"
    if isinstance(value, int | np.integer):
        return "a number"
    if isinstance(value, str):
        return f"text of {counted(len(value), 'character')}"
    if isinstance(value, bytes | bytearray | memoryview):
        return counted(len(value), "byte")
    if isinstance(value, np.ndarray):
        return f"{value.dtype.name} {list(value.shape)}"
    if isinstance(value, Mapping):
        return f"an object with {counted(len(value), 'field')}" if value else "an empty object"
    return _list(value) if isinstance(value, list | tuple) else "no JSON value"


def counted(count: int, word: str) -> str:
    """Return `1 row`, `2 rows`."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _list(value: Any) -> str:
    sizes, what = _shape(value)
    if sizes == [0]:
        return "an empty list"
    if len(sizes) > 1:
        return f"a list {_written(sizes)}" + (f" of {what}" if sizes[-1] else "")
    one = what.removesuffix("s")
    return f"a list of {sizes[0]} {what if sizes[0] != 1 else one}"


def _shape(value: Any) -> tuple[list[int], str]:
    """Return the sizes of nested lists as far as they are regular, and what is in the innermost."""
    level: list[Any] = [value]
    sizes: list[int] = []
    while all(isinstance(item, list | tuple) for item in level):
        lengths = {len(item) for item in level}
        if len(lengths) > 1:
            return sizes, "lists of different lengths"
        sizes.append(lengths.pop())
        if sizes[-1] == 0 or len(sizes) == _DEEPEST or len(level) * sizes[-1] > _MANY:
            return sizes, "values"
        level = list(chain.from_iterable(level))
    kinds = {_PLURALS.get(type(item), "values") for item in level}
    return sizes, kinds.pop() if len(kinds) == 1 else "values"


def _written(sizes: list[int]) -> str:
    return "".join(f"[{size}]" for size in sizes)
