"""JSON values into NumPy arrays of one type: at once where nothing is in doubt, else one by one."""

import base64
import binascii
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.received import describe
from services.core.signature.problems import Problems, UnfitError, kind_of

_FEW = 64
# Says where the value of an index is.
Where = Callable[[int], str]

_INTS = frozenset({int})
_NUMBERS = frozenset({int, float})
_TEXTS = frozenset({str})
_BOOLS = frozenset({bool})
_DATE = "a date and time in ISO 8601, such as 2024-05-01T12:30:00"
_BINARY = "bytes as base64 text"
# What a datetime64[ns] can hold, with a margin.
_YEARS = range(1678, 2262)


def to_array(
    values: Sequence[Any], dtype: str, where: Where, problems: Problems, nullable: bool = False
) -> NDArray[Any] | None:
    """Convert values of any kind into an array [len(values)] of a type; None if one does not fit.

    Args:
        dtype: a NumPy type's name; text, bytes and objects give an array of objects.
        where: path of each value, for errors.
        problems: takes what does not fit.
        nullable: null is accepted where the type has a word for it: NaN, NaT or None.

    Raises:
        InvalidInputError: enough problems were found.
    """
    kind = kind_of_dtype(dtype)
    fast = numbers(values, dtype) if kind in "iuf" else None
    if fast is not None:
        return fast
    kinds = set(map(type, values))
    if kind == "b" and kinds == _BOOLS:
        return np.array(values, dtype=bool)
    if kind == "U" and kinds == _TEXTS and whole_text("".join(values)):
        return objects(values)
    return _one_by_one(values, dtype, where, problems, nullable)


def numbers(values: Sequence[Any], dtype: str) -> NDArray[Any] | None:
    """Convert values that are certainly numbers within the type; None where in any doubt.

    `True` is a number to NumPy and to Python, and a mistake here: hence the look at the types.
    """
    kinds = set(map(type, values))
    try:
        if kind_of_dtype(dtype) != "f":
            if kinds != _INTS:
                return None
            found: NDArray[Any] = np.array(values, dtype=np.int64)
            return found if dtype == "int64" else _narrow(found, dtype)
        if not kinds or not kinds <= _NUMBERS:
            return None
        found = np.array(values, dtype=np.float64)
        if dtype == "float64" and len(values) <= _FEW and math.isfinite(sum(values)):
            # So is every value, for no sum with NaN or an infinity is; NumPy takes longer to start.
            return found
    except OverflowError:
        return None
    if dtype != "float64":
        with np.errstate(over="ignore"):
            found = found.astype(dtype)
    return found if np.isfinite(found).all() else None


def _narrow(values: NDArray[Any], dtype: str) -> NDArray[Any] | None:
    low, high = limits(dtype)
    fits = low <= values.min() and values.max() <= high
    return values.astype(dtype) if fits else None


def _one_by_one(
    values: Sequence[Any], dtype: str, where: Where, problems: Problems, nullable: bool
) -> NDArray[Any] | None:
    kind = kind_of_dtype(dtype)
    convert = converter(dtype)
    found: list[Any] = []
    for index, value in enumerate(values):
        if value is None and nullable and kind not in "iu":
            found.append(math.nan if kind == "f" else None)
            continue
        try:
            found.append(convert(value))
        except UnfitError as error:
            problems.add(where(index), error.what, error.expected, error.received)
    if len(found) < len(values):
        return None
    if kind in "iuf" or (kind == "b" and None not in found):
        return np.array(found, dtype=dtype)
    if kind == "M":
        return np.array(found, dtype="datetime64[ns]").astype(dtype)
    return objects(found)


def objects(values: Sequence[Any]) -> NDArray[Any]:
    """Return an array [len(values)] of Python objects, whatever they are."""
    return np.fromiter(values, dtype=object, count=len(values))


@cache
def kind_of_dtype(dtype: str) -> str:
    """Return NumPy's letter for a type: b i u f M U S O; text is U, however long."""
    return np.dtype(dtype).kind


@cache
def limits(dtype: str) -> tuple[int, int]:
    """Return the least and the greatest value of a type of whole numbers."""
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


@cache
def converter(dtype: str) -> Callable[[Any], Any]:
    """Return the function that takes one JSON value of a type, or raises UnfitError."""
    kind = kind_of_dtype(dtype)
    if kind in "iu":
        return lambda value: _integer(value, dtype)
    if kind == "f":
        return lambda value: _real(value, dtype)
    found = {"b": _boolean, "U": _text, "S": _bytes, "M": _moment, "O": _any_scalar}.get(kind)
    return found or _impossible


def _integer(value: Any, dtype: str) -> int:
    low, high = limits(dtype)
    expected = f"a whole number from {low} to {high}"
    if type(value) is float and math.isfinite(value):
        if not value.is_integer():
            raise _unfit(value, "is no whole number", expected)
        value = int(value)
    if type(value) is not int:
        raise _unfit(value, _found(value), expected)
    if not low <= value <= high:
        raise _unfit(value, "is out of range", expected)
    return value


def _real(value: Any, dtype: str) -> float:
    expected = "a number" if dtype == "float64" else f"a number within {dtype}"
    if type(value) is not int and type(value) is not float:
        raise _unfit(value, _found(value), expected)
    try:
        found = float(value)
    except OverflowError:
        raise _unfit(value, "is out of range", expected) from None
    if not math.isfinite(found):
        raise _unfit(value, "is not finite", expected)
    with np.errstate(over="ignore"):
        if not np.isfinite(np.dtype(dtype).type(found)):
            raise _unfit(value, "is out of range", expected)
    return found


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise _unfit(value, _found(value), "true or false")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise _unfit(value, _found(value), "text")
    if not whole_text(value):
        raise _unfit(value, "holds half a character (a lone surrogate)", "text")
    return value


def _bytes(value: Any) -> bytes:
    if type(value) is bytes:
        # Not from JSON, but from a protocol that has bytes.
        return value
    if type(value) is not str:
        raise _unfit(value, _found(value), _BINARY)
    try:
        return base64.b64decode(value.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise _unfit(value, "is no base64", _BINARY) from None


def _moment(value: Any) -> datetime:
    if type(value) is not str:
        raise _unfit(value, _found(value), _DATE)
    try:
        found = datetime.fromisoformat(value)
        if found.tzinfo is not None:
            found = found.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise _unfit(value, "is no date", _DATE) from None
    if found.year not in _YEARS:
        raise _unfit(value, "is out of range", f"a year from {_YEARS.start} to {_YEARS.stop - 1}")
    return found


def _any_scalar(value: Any) -> Any:
    if isinstance(value, list | dict):
        raise _unfit(value, _found(value), "a single value")
    if type(value) is str:
        return _text(value)
    return _real(value, "float64") if type(value) is float else value


def _impossible(value: Any) -> Any:
    raise _unfit(value, "cannot be given as JSON", "a model whose signature has another type")


def _unfit(value: Any, what: str, expected: str) -> UnfitError:
    return UnfitError(what, expected, describe(value))


def _found(value: Any) -> str:
    strange = type(value) is float and not math.isfinite(value)
    return "is not finite" if strange else f"is {kind_of(value)}"


def whole_text(text: str) -> bool:
    """Say whether a text can be written as UTF-8: JSON can carry half a character, `\\ud800`."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
