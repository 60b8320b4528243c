"""Text of a table's cells into JSON values: by the column's type, or by what it looks like."""

import json
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from services.core.signature import Field

_NUMBER = re.compile(r"[+-]?(\d++(\.\d*+)?|\.\d++)([eE][+-]?\d++)?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NUMERIC = frozenset({"integer", "long", "float", "double"})
_NESTED = frozenset({"array", "object", "map"})
# What cells of an unknown type look like.
WHOLE, NUMBER, BOOL, TEXT = "whole", "number", "bool", "text"


def typed(cells: Sequence[str], field: Field) -> list[Any]:
    """Return the values of a column; an empty cell is None.

    What does not look like the type stays text: the engine says what is wrong with it.
    """
    kind = np.dtype(field.dtype).kind if field.is_tensor else ""
    if field.is_tensor and len(field.shape or ()) > 1:
        return _each(cells, _structure)
    if field.type in _NUMERIC or kind in ("i", "u", "f"):
        return _numbers(cells, whole=field.type in ("integer", "long") or kind in ("i", "u"))
    if field.type == "boolean" or kind == "b":
        return _each(cells, lambda cell: _BOOLS.get(cell.strip(), cell))
    if field.type in _NESTED:
        return _each(cells, _structure)
    if field.type == "any" or kind == "O":
        return guessed(cells)
    return _each(cells, str)


def guessed(cells: Sequence[str]) -> list[Any]:
    """Return the values of a column of unknown type: numbers, truth values, or else texts."""
    return taken_as(guess(cells), cells)


def guess(cells: Sequence[str]) -> str | None:
    """Return what the cells of a column look like; None: they are all empty."""
    some = [cell for cell in cells if cell]
    if not some:
        return None
    if all(_NUMBER.fullmatch(cell.strip()) for cell in some):
        return WHOLE if all(_WHOLE.fullmatch(cell.strip()) for cell in some) else NUMBER
    return BOOL if all(cell in _BOOLS for cell in some) else TEXT


def together(one: str | None, other: str | None) -> str | None:
    """Return what a column looks like of which one part looks like this, and one like that."""
    if one is None or other is None or one == other:
        return one or other
    return NUMBER if {one, other} == {WHOLE, NUMBER} else TEXT


def taken_as(look: str | None, cells: Sequence[str]) -> list[Any]:
    """Return the values of a column that looks like this."""
    if look in (WHOLE, NUMBER):
        return _numbers(cells, whole=look == WHOLE)
    return _each(cells, _BOOLS.get if look == BOOL else str)


def _each(cells: Sequence[str], convert: Callable[[str], Any]) -> list[Any]:
    return [convert(cell) if cell else None for cell in cells]


def _numbers(cells: Sequence[str], *, whole: bool) -> list[Any]:
    try:
        found: list[Any] = list(map(int if whole else float, cells))
    except ValueError:
        pass
    else:
        # Python reads underscores, and words that no JSON has.
        if "_" not in "".join(cells) and all(map(math.isfinite, found)):
            return found
    return _each(cells, lambda cell: _number(cell, whole=whole))


def _number(cell: str, *, whole: bool) -> Any:
    text = cell.strip()
    if text in ("", "NaN", "nan"):
        return None
    if whole and _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else cell


def _structure(cell: str) -> Any:
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell
