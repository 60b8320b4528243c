"""What models of any kind answer: joined rows taken apart again, and turned into JSON."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from services.core.json_values import to_json

# Different numbers of rows may take different ways through the same arithmetic.
_RELATIVE = 1e-4
_ABSOLUTE = 1e-6


def as_json(answer: Any) -> Any:
    """Return an answer as JSON values: tables are lists of records, arrays and series lists.

    Raises:
        TypeError: there is no JSON for it.
    """
    if _is_table(answer):
        names = [str(name) for name in answer.columns]
        columns = [as_json(answer.iloc[:, position]) for position in range(len(names))]
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    if hasattr(answer, "iloc"):
        return to_json(answer.tolist())
    if hasattr(answer, "detach"):
        return to_json(answer.detach().cpu().numpy())
    if isinstance(answer, Mapping):
        return {str(name): as_json(item) for name, item in answer.items()}
    if isinstance(answer, list | tuple):
        return [as_json(item) for item in answer]
    return to_json(answer)


def rows_of(answer: Any) -> int | None:
    """Return how many rows an answer has; None where it has none."""
    if isinstance(answer, Mapping):
        counts = {rows_of(item) for item in answer.values()}
        return counts.pop() if len(counts) == 1 else None
    if isinstance(answer, list) or hasattr(answer, "iloc"):
        return len(answer)
    shape: tuple[int, ...] = getattr(answer, "shape", ())
    return int(shape[0]) if shape else None


def rows_between(answer: Any, start: int, stop: int) -> Any:
    """Return some rows of an answer, in the form that it has."""
    if isinstance(answer, Mapping):
        return {name: rows_between(item, start, stop) for name, item in answer.items()}
    return answer.iloc[start:stop] if hasattr(answer, "iloc") else answer[start:stop]


def alike(one: Any, other: Any) -> bool:
    """Say whether two JSON values are equal, up to rounding."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[name], other[name]) for name in one)
    return bool(one == other)


def _is_table(answer: Any) -> bool:
    return hasattr(answer, "iloc") and hasattr(answer, "columns")


def scores(output: Any) -> list[float]:
    """Return the highest of each row where rows are probabilities that add up to 1."""
    rows = output if isinstance(output, list) else []
    if not rows or not all(isinstance(row, list) and len(row) > 1 for row in rows):
        return []
    try:
        array = np.array(rows, dtype=np.float64)
    except (TypeError, ValueError):
        return []
    if array.ndim != 2 or not ((array >= 0) & (array <= 1)).all():
        return []
    whole = np.isclose(array.sum(axis=1), 1, atol=1e-3).all()
    return [float(top) for top in array.max(axis=1)] if whole else []
