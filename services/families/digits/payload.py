"""From the body of a request to pictures of digits."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.errors import InvalidInputError, PayloadTooLargeError
from services.core.received import counted, describe
from services.core.signature.problems import stranger
from services.families.digits.placing import SIDE

FIELD = "image"
PIXELS = SIDE * SIDE
_BRIGHTEST = 255.0
_EXPECTED = "784 numbers from 0 to 255, flat or as 28 rows of 28, bright ink on dark"


def read_pictures(payload: Any, max_rows: int) -> tuple[NDArray[np.float32], bool]:
    """Return the pictures, float32 [N, 28, 28] on their own scale, and whether just one was sent.

    Raises:
        InvalidInputError: which value is wrong (`inputs[3][17]`), and what was expected.
    """
    name, given = _content(payload)
    if name == FIELD:
        return _picture(given, FIELD)[None], True
    many, where = given, "inputs"
    if isinstance(given, Mapping):
        if set(given) != {FIELD}:
            raise _invalid("The columns are not those of this model.", where, "one, `image`", given)
        many, where = given[FIELD], f"inputs.{FIELD}"
    if not _is_list(many) or not len(many):
        raise _invalid("There is no list of pictures.", where, f"one or more of: {_EXPECTED}", many)
    if len(many) > max_rows:
        raise PayloadTooLargeError(
            "There are too many pictures.",
            where=where,
            expected=f"at most {max_rows}",
            received=counted(len(many), "picture"),
        )
    return np.stack([_picture(*item) for item in _items(many, where)]), False


def _content(payload: Any) -> tuple[str, Any]:
    either = "`image` or `inputs`"
    if not isinstance(payload, Mapping):
        raise _invalid("The body is not an object.", "body", f"an object with {either}", payload)
    for name in payload:
        if name not in (FIELD, "inputs", "params"):
            where = stranger("body", name)
            raise _invalid("The body has a field that is not known.", where, either, payload)
    if payload.get("params"):
        where = "params"
        raise _invalid("This model takes no parameters.", where, "nothing", payload["params"])
    found = [name for name in (FIELD, "inputs") if name in payload]
    if len(found) != 1:
        raise _invalid("The body holds not exactly one of two.", "body", either, payload)
    return found[0], payload[found[0]]


def _items(many: Sequence[Any], where: str) -> Iterator[tuple[Any, str]]:
    """Yield each picture and where it is; a row may be a record of the one column."""
    for number, item in enumerate(many):
        place = f"{where}[{number}]"
        if isinstance(item, Mapping):
            if set(item) != {FIELD}:
                raise _invalid(
                    "The record is not of this model.", place, "one field, `image`", item
                )
            yield item[FIELD], f"{place}.{FIELD}"
        else:
            yield item, place


def _picture(value: Any, where: str) -> NDArray[np.float32]:
    """Check one picture; return float32 [28, 28]."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "fiu" or value.size != PIXELS:
            raise _invalid("The picture has another size or type.", where, _EXPECTED, value)
        rows, values = False, value.reshape(-1).astype(np.float64)
    else:
        # A single channel, as networks are fed.
        if _is_list(value) and len(value) == 1 and _is_list(value[0]):
            value, where = value[0], f"{where}[0]"
        flat, rows = _flat(value, where)
        values = _numbers(flat, where, rows)
    # Also false for what is not a number.
    fitting = (values >= 0) & (values <= _BRIGHTEST)
    if not fitting.all():
        wrong = int(np.argmin(fitting))
        place = _where(where, wrong, rows)
        raise _invalid("A pixel is out of range.", place, "from 0 to 255", float(values[wrong]))
    return values.astype(np.float32).reshape(SIDE, SIDE)


def _flat(value: Any, where: str) -> tuple[list[Any], bool]:
    """Return the pixels in a row, and whether they came as rows."""
    if not _is_list(value):
        raise _invalid("There is no list of pixels.", where, _EXPECTED, value)
    if len(value) == PIXELS:
        return list(value), False
    if len(value) != SIDE:
        raise _invalid("The picture has another size.", where, _EXPECTED, value)
    for number, row in enumerate(value):
        if not _is_list(row) or len(row) != SIDE:
            raise _invalid("A row has not 28 pixels.", f"{where}[{number}]", "28 numbers", row)
    return list(chain.from_iterable(value)), True


def _numbers(flat: list[Any], where: str, rows: bool) -> NDArray[np.float64]:
    if not set(map(type, flat)) <= {int, float}:
        for number, value in enumerate(flat):
            if isinstance(value, bool | np.bool_) or not isinstance(
                value, int | float | np.integer | np.floating
            ):
                place = _where(where, number, rows)
                raise _invalid("A pixel is not a number.", place, "a number from 0 to 255", value)
    try:
        return np.array(flat, np.float64)
    except OverflowError:
        # Only a whole number can be too large for that.
        raise _invalid("A pixel is out of range.", where, "numbers from 0 to 255", 0) from None


def _where(where: str, index: int, rows: bool) -> str:
    return f"{where}[{index // SIDE}][{index % SIDE}]" if rows else f"{where}[{index}]"


def _is_list(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, list | tuple)


def _invalid(message: str, where: str, expected: str, came: Any) -> InvalidInputError:
    return InvalidInputError(message, where=where, expected=expected, received=describe(came))
