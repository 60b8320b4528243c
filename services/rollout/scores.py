"""How well predictions agree with right answers: accuracy for classes, R² for numbers."""

import math
from collections.abc import Sequence
from typing import Any

from services.core.errors import InvalidInputError


def score(predictions: Sequence[Any], answers: Sequence[str]) -> tuple[str, float]:
    """Return the name of the measure that fits the answers, and its value.

    Whole numbers and words are classes; predictions with fractions make it a regression. Of a
    prediction that is a list of scores the highest one counts as the class.

    Raises:
        InvalidInputError: there is not one usable prediction for each answer.
    """
    if len(predictions) != len(answers):
        raise InvalidInputError(
            "The model does not give one answer to each row.",
            where="--data",
            expected=f"{len(answers)} answers",
        )
    given = [_class(prediction) for prediction in predictions]
    numbers = [_number(answer) for answer in answers]
    found = [_number(value) for value in given]
    known = [value for value in numbers if value is not None]
    if len(known) == len(answers) and _fractions(known, found):
        return "r2", r2([math.nan if value is None else value for value in found], known)
    right = sum(_same(value, answer) for value, answer in zip(given, answers, strict=True))
    return "accuracy", right / len(answers)


def r2(found: Sequence[float], right: Sequence[float]) -> float:
    """Return the coefficient of determination; 1 is perfect, 0 as good as the mean.

    Raises:
        InvalidInputError: a prediction is no number, or all answers are the same.
    """
    if any(math.isnan(value) for value in found):
        raise InvalidInputError("A prediction is no number.", where="--data")
    mean = math.fsum(right) / len(right)
    total = math.fsum((value - mean) ** 2 for value in right)
    if total == 0:
        raise InvalidInputError(
            "All right answers are the same number.",
            where="--target",
            expected="a column with different values",
        )
    rest = math.fsum((a - b) ** 2 for a, b in zip(found, right, strict=True))
    return 1 - rest / total


def _fractions(right: Sequence[float], found: Sequence[float | None]) -> bool:
    values = [*right, *(value for value in found if value is not None)]
    return any(not value.is_integer() for value in values)


def _class(prediction: Any) -> Any:
    if isinstance(prediction, dict) and len(prediction) == 1:
        (prediction,) = prediction.values()
    if isinstance(prediction, list) and len(prediction) == 1:
        return prediction[0]
    if isinstance(prediction, list) and all(isinstance(item, int | float) for item in prediction):
        return max(range(len(prediction)), key=prediction.__getitem__)
    return prediction


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _same(found: Any, answer: str) -> bool:
    number, right = _number(found), _number(answer)
    if number is not None and right is not None:
        return number == right
    return str(found).strip().casefold() == answer.strip().casefold()
