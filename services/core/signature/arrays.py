"""Arrays of one type into another, as strictly as JSON values: nothing is lost on the way."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.received import describe
from services.core.signature.problems import Problems
from services.core.signature.scalars import Where, kind_of_dtype, limits, to_array

_NUMBERS = "iuf"


def cast(array: NDArray[Any], dtype: str) -> NDArray[Any] | None:
    """Convert numbers that all fit a type of numbers; None where any does not, or may not."""
    target = np.dtype(dtype)
    if array.dtype.kind not in _NUMBERS or target.kind not in _NUMBERS:
        return None
    if target.kind == "f":
        found = array
        if array.dtype != target:
            with np.errstate(over="ignore"):
                found = array.astype(target)
        return found if np.isfinite(found).all() else None
    return array.astype(target) if not _unfit(array, dtype).any() else None


def from_array(
    array: NDArray[Any], dtype: str, where: Where, problems: Problems, nullable: bool = False
) -> NDArray[Any] | None:
    """Convert an array [n] of any type into one of a declared type; None if a value does not fit.

    Args:
        array: numbers, truth values, or objects: texts and bytes.
        dtype, where, problems, nullable: as for `to_array`; NaN is how an array says null.

    Raises:
        InvalidInputError: enough problems were found.
    """
    kind = kind_of_dtype(dtype)
    if kind not in _NUMBERS or array.dtype.kind not in _NUMBERS:
        return to_array(array.tolist(), dtype, where, problems, nullable)
    found = cast(array, dtype)
    if found is not None:
        return found
    if kind == "f":
        with np.errstate(over="ignore"):
            found = array.astype(dtype)
        unfit = ~np.isfinite(found) & ~(np.isnan(found) & nullable)
        expected = "a number" if dtype == "float64" else f"a number within {dtype}"
    else:
        unfit = _unfit(array, dtype)
        low, high = limits(dtype)
        expected = f"a whole number from {low} to {high}"
    for index in np.flatnonzero(unfit):
        value = array[index]
        problems.add(where(int(index)), _fault(value, kind), expected, describe(value))
    return None if unfit.any() else found


def _unfit(array: NDArray[Any], dtype: str) -> NDArray[np.bool_]:
    """Say of each number whether it is no whole number within a type."""
    low, high = limits(dtype)
    if array.dtype.kind == "f":
        wide = array.astype(np.float64, copy=False)
        # One more than the highest is a power of two, so both borders are exact.
        whole: NDArray[np.bool_] = wide == np.floor(wide)
        return ~(whole & (wide >= float(low)) & (wide < float(high + 1)))
    own = np.iinfo(array.dtype)
    unfit = np.zeros(array.shape, np.bool_)
    if own.min < low:
        unfit |= array < low
    if own.max > high:
        unfit |= array > high
    return unfit


def _fault(value: Any, kind: str) -> str:
    if not np.isfinite(value):
        return "is not finite"
    if kind != "f" and value != np.floor(value):
        return "is no whole number"
    return "is out of range"
