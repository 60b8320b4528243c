"""How the answers of a family's models are judged by what would have been right."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from services.core.errors import InvalidInputError
from services.core.received import describe

# One for each row: names of classes, or the numbers of a regression.
Labels = list[str] | list[float]

_ANSWERS = ("predictions", "prediction", "class", "label")
# What stands beside an answer.
_BESIDE = frozenset(
    {"classes", "confidence", "confidences", "count", "model", "probabilities", "probability"}
    | {"score", "scores"}
)
_WHERE = "expected"
_MOST_NAMED = 20
_LONGEST = 1000
_WHOLE = 1e-3


class Judging:
    """A part of the contract of families, for those that name classes or numbers.

    A family that answers something else, masks say, overrides `comparable`, `truth`, `right` and
    `quality` together. Outputs are those of a record: JSON values.

    Attributes:
        labels: what its classes are called, where all its models share them (`GET /classes`).
    """

    labels: ClassVar[tuple[str, ...]] = ()

    def answered(self, output: Any) -> Labels | None:
        """Return what was answered to each row; None where that is neither a class nor a number.

        A number with a fraction's type (3.0) is one of a regression, unless `classes` stand beside
        it; everything else is the name of a class: 3 is `3`, true is `true`.
        """
        rows = _rows(output)
        if not rows:
            return None
        if "classes" not in output and any(isinstance(value, float) for value in rows):
            numbers = [_number(value) for value in rows]
            return None if None in numbers else [float(value) for value in rows]
        names = [_name(value) for value in rows]
        return None if None in names else [name for name in names if name is not None]

    def comparable(self, output: Any) -> Any:
        """Return what of an output is kept to be judged, as JSON values; None: it cannot be."""
        return self.answered(output)

    def truth(self, given: Any, output: Any) -> Any:
        """Return what would have been right, in the form of `comparable`, whose output there is.

        Raises:
            InvalidInputError: not one for each row, or a class that the model does not know.
        """
        answer = self.answered(output)
        assert answer is not None, "asked only where the output is comparable"
        values = given if isinstance(given, list) else [given]
        if len(values) != len(answer):
            raise InvalidInputError(
                "There is not one expected value for each row of the prediction.",
                where=_WHERE,
                expected=f"a list of {len(answer)}" if len(answer) > 1 else "one value",
                received=describe(given),
            )
        if isinstance(answer[0], float):
            return [_right_number(value, place) for value, place in _placed(given, values)]
        known = _classes(output) or self.labels
        return [_right_name(value, place, known) for value, place in _placed(given, values)]

    def right(self, answer: Any, truth: Any) -> bool | None:
        """Say whether all of an answer was right; None where there is no yes or no to that."""
        return None if isinstance(answer[0], float) else bool(answer == truth)

    def quality(self, pairs: Sequence[tuple[Any, Any]]) -> dict[str, float]:
        """Judge answers (`comparable`), each with its truth; the rows of all count alike.

        Returns `accuracy` and `f1` (mean over the classes); of numbers `mae`, `rmse`, and `r2`
        where the truths differ.
        """
        from services.families._measures import of_classes, of_numbers

        found = [value for answer, _ in pairs for value in answer]
        right = [value for _, truth in pairs for value in truth]
        if any(isinstance(value, float) for value in found):
            return of_numbers(*_numbers(found, right))
        return of_classes(found, right)


DEFAULT = Judging()


def judge_of(families: Mapping[str, Judging], name: str | None) -> Judging:
    """Return the family that judges; of records that name none, or one that is gone, the default.

    It reads any answer in a usual form.
    """
    return families.get(name or "", DEFAULT)


def _rows(output: Any) -> list[Any]:
    """Return one value for each row; nothing where the output has no such form."""
    if not isinstance(output, Mapping):
        return []
    name = next((name for name in _ANSWERS if name in output), None)
    if name is None:
        others = [name for name in output if name not in _BESIDE]
        if len(others) != 1:
            return []
        name = others[0]
    values = output[name]
    if isinstance(values, Mapping) and len(values) == 1:
        (values,) = values.values()  # one column
    rows = [_value(row) for row in values] if isinstance(values, list) else [_value(values)]
    return [] if any(row is None for row in rows) else rows


def _value(row: Any) -> Any:
    """Return the one value that a row holds: of probabilities the place of the highest."""
    if isinstance(row, Mapping):
        name = next((name for name in reversed(_ANSWERS) if name in row), None)
        if name is None:
            name = next(iter(row)) if len(row) == 1 else None
        return None if name is None else _plain(row[name])
    if isinstance(row, list):
        if len(row) == 1:
            return _plain(row[0])
        return row.index(max(row)) if _probabilities(row) else None
    return _plain(row)


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else None


def _probabilities(row: list[Any]) -> bool:
    if not row or any(_number(value) is None or not 0 <= value <= 1 for value in row):
        return False
    return abs(math.fsum(row) - 1) < _WHOLE


def _name(value: Any) -> str | None:
    """Return what a class is called; 3, 3.0 and "3" are one."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str | int | float):
        return str(value)
    return None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e300 else None  # infinities and NaN are no numbers here


def _numbers(found: list[Any], right: list[Any]) -> tuple[list[float], list[float]]:
    """Return those pairs that are numbers: of a version that answers numbers, all are."""
    pairs = [
        (one, other)
        for one, other in zip(found, right, strict=True)
        if isinstance(one, float) and isinstance(other, float)
    ]
    return [one for one, _ in pairs], [other for _, other in pairs]


def _classes(output: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the classes that an output names, if it does."""
    classes, shares = output.get("classes"), output.get("probabilities")
    named = classes if isinstance(classes, list) else []
    if not named and isinstance(shares, Mapping):
        named = list(shares)
    return tuple(name for name in map(_name, named) if name is not None)


def _placed(given: Any, values: list[Any]) -> list[tuple[Any, str]]:
    """Return each value with where it stands in the request."""
    if not isinstance(given, list):
        return [(given, _WHERE)]
    return [(value, f"{_WHERE}[{number}]") for number, value in enumerate(values)]


def _right_number(value: Any, where: str) -> float:
    number = _number(value)
    if number is None:
        raise InvalidInputError(
            "The model answers numbers, and this is none.",
            where=where,
            expected="a number",
            received=describe(value),
        )
    return number


def _right_name(value: Any, where: str, known: Sequence[str]) -> str:
    name = _name(value)
    if name is None or len(name) > _LONGEST or (known and name not in known):
        more = ", …" if len(known) > _MOST_NAMED else ""
        raise InvalidInputError(
            "The model knows no such class.",
            where=where,
            expected=", ".join(known[:_MOST_NAMED]) + more if known else "the name of a class",
            received=describe(value),
        )
    return name
