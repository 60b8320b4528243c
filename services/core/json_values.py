"""What models answer, as JSON values: NumPy's types, dates, bytes, NaN."""

import base64
import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

_DEPTH = 64


def to_json(value: Any, depth: int = 0) -> Any:
    """Return a value that JSON can hold: NaN and NaT are null, bytes base64, dates ISO 8601.

    Raises:
        TypeError: there is no JSON for it.
    """
    if depth > _DEPTH:
        raise TypeError("nested too deeply")
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.ndarray):
        return _array(value, depth)
    if isinstance(value, Mapping):
        return {str(name): to_json(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(item, depth + 1) for item in value]
    return _library(value, depth)


def _array(value: np.ndarray[Any, Any], depth: int) -> Any:
    if value.dtype.kind in "biuU" or (value.dtype.kind == "f" and np.isfinite(value).all()):
        return value.tolist()
    if value.dtype.kind in "mM":
        value = value.astype("datetime64[us]" if value.dtype.kind == "M" else "timedelta64[us]")
    return to_json(value.tolist(), depth + 1)


def _library(value: Any, depth: int) -> Any:
    """Convert what JSON has no word for."""
    if isinstance(value, np.generic):
        return _array(np.asarray(value), depth)
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(bytes(value)).decode("ascii")
    if type(value).__name__ in ("NaTType", "NAType"):
        return None
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return to_json(float(value), depth)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    raise TypeError(f"no JSON for {type(value).__name__}")
