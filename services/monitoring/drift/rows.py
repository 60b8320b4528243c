"""From an input, in any of the forms that models are asked in, to rows of named values."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from services.families.base import Picture
from services.ledger.privacy import REDACTED
from services.monitoring.drift.pictures import from_file, from_numbers
from services.monitoring.drift.samples import Value

# A row of more numbers is one thing, such as a picture, and not that many features.
_MOST_COLUMNS = 200
_LONGEST_TEXT = 10_000
_LONGEST_NAME = 64
_BESIDE = {"params", "model", "prediction_id"}
PICTURE = "image"

Cells = dict[str, Any]


def rows_of(given: Any, fields: Sequence[str], most: int) -> tuple[list[Cells], int]:
    """Return the chosen rows of an input as cells by name, and how many rows it has.

    Args:
        given: JSON values, or arrays in them, or a `Picture`; None: it is not on record.
        fields: names of the columns, for rows that have none.
        most: rows to return at most, evenly spread.
    """
    if isinstance(given, Picture):
        return [{PICTURE: given}], 1
    if not isinstance(given, Mapping):
        return [], 0
    body = {name: value for name, value in given.items() if name not in _BESIDE}
    if set(body) == {"bytes", "kind"} or len(body) != 1:
        return [], 0  # a picture that was not kept, or nothing that a family takes
    ((name, value),) = body.items()
    items = _columns(value) if isinstance(value, Mapping) else value
    if name != "inputs" and not _is_many(value, fields):
        items = [value]
    if not _is_list(items):
        return [], 0
    chosen = spread(len(items), most)
    return [_cells(items[index], name, fields) for index in chosen], len(items)


def spread(count: int, most: int) -> list[int]:
    """Return at most so many of the indices below `count`, evenly spread."""
    if count <= most:
        return list(range(count))
    return [int(index) for index in np.linspace(0, count - 1, most).round()]


def read(cells: Cells) -> tuple[dict[str, Value], frozenset[str]]:
    """Return the values of a row, and the names of those that were redacted."""
    values: dict[str, Value] = {}
    hidden = set()
    for name, cell in cells.items():
        short = str(name)[:_LONGEST_NAME]
        if isinstance(cell, str) and cell == REDACTED:
            hidden.add(short)
        else:
            values[short] = _value(cell)
    return values, frozenset(hidden)


def _is_many(value: Any, fields: Sequence[str]) -> bool:
    """Say whether a family's own field holds several rows (texts) rather than one."""
    if not _is_list(value) or not all(isinstance(item, str) for item in value):
        return False
    return len(fields) < 2


def _columns(value: Mapping[str, Any]) -> Any:
    """Turn columns into records; what holds no columns is a record itself."""
    if not value or not all(_is_list(column) for column in value.values()):
        return [value]
    if len({len(column) for column in value.values()}) > 1:
        return []
    names = list(value)
    return [dict(zip(names, row, strict=True)) for row in zip(*value.values(), strict=True)]


def _cells(row: Any, name: str, fields: Sequence[str]) -> Cells:
    if isinstance(row, Mapping):
        return dict(row)
    only = fields[0] if len(fields) == 1 and fields[0] else name
    if not _is_list(row):
        return {only: row}
    if len(row) > _MOST_COLUMNS or (len(row) and (_is_list(row[0]))):
        return {only: row}
    if len(row) == len(fields):
        return dict(zip(_names(fields), row, strict=True))
    return {f"column_{number}": cell for number, cell in enumerate(row, 1)}


def _names(fields: Sequence[str]) -> Iterator[str]:
    for number, name in enumerate(fields, 1):
        yield name or f"column_{number}"


def _value(cell: Any) -> Value:
    if isinstance(cell, np.generic):
        cell = cell.item()
    if cell is None or isinstance(cell, str):
        return None if cell is None else cell[:_LONGEST_TEXT]
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, int | float):
        try:
            number = float(cell)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None
    if isinstance(cell, Picture):
        return from_file(cell.data)
    if _is_list(cell):
        return from_numbers(cell)
    try:
        return orjson.dumps(cell, option=orjson.OPT_SORT_KEYS).decode()[:_LONGEST_TEXT]
    except TypeError:
        return None


def _is_list(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, list | tuple)
