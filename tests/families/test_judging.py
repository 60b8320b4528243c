"""How answers are read and compared with what was right, without a model."""

from typing import Any

import pytest

from services.core.errors import InvalidInputError
from services.families import discover
from services.families._judging import DEFAULT, judge_of

DIGIT = {"prediction": 3, "confidence": 0.9, "probabilities": [0.1] * 10}
SHAPE = {"class": "star", "confidence": 0.9, "probabilities": {"star": 0.9, "heart": 0.1}}
TABLE = {"predictions": [1, 0], "probabilities": [[0.2, 0.8], [0.9, 0.1]], "classes": [0, 1]}


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        (DIGIT, ["3"]),
        (SHAPE, ["star"]),
        (TABLE, ["1", "0"]),
        ({"predictions": ["good", "bad"], "count": 2, "confidences": [0.9, 0.8], "model": "m"},
         ["good", "bad"]),
        ({"predictions": [1.0, 0.0], "classes": [0.0, 1.0]}, ["1", "0"]),
        ({"predictions": [1.0, 2.5]}, [1.0, 2.5]),
        ({"predictions": [3, 2.5]}, [3.0, 2.5]),
        ({"predictions": [[0.25, 0.75], [0.5, 0.5]]}, ["1", "0"]),
        ({"predictions": [{"label": "POSITIVE", "score": 0.9}]}, ["POSITIVE"]),
        ({"predictions": {"y": [True, False]}}, ["true", "false"]),
        ({"predictions": [["a"], ["b"]]}, ["a", "b"]),
        ({"positive": True, "confidence": 1.0}, ["true"]),
        ({"predictions": [[1.0, 2.0, 3.0]]}, None),
        ({"predictions": [{"a": 1, "b": 2}]}, None),
        ({"predictions": [None]}, None),
        ({"predictions": []}, None),
        ({"a": 1, "b": 2}, None),
        ({}, None),
        (None, None),
        ([1, 2], None),
        ("text", None),
    ],
)  # fmt: skip
def test_what_was_answered(output: Any, answer: Any) -> None:
    assert DEFAULT.answered(output) == answer


@pytest.mark.parametrize(
    ("output", "given", "truth"),
    [
        (DIGIT, 3, ["3"]),
        (DIGIT, "3", ["3"]),
        (DIGIT, [4.0], ["4"]),
        (SHAPE, "heart", ["heart"]),
        (TABLE, [0, 1], ["0", "1"]),
        ({"predictions": [1.5]}, 2, [2.0]),
    ],
)
def test_what_is_right(output: Any, given: Any, truth: Any) -> None:
    assert DEFAULT.truth(given, output) == truth


@pytest.mark.parametrize(
    ("output", "given", "where", "expected"),
    [
        (SHAPE, "cube", "expected", "star, heart"),
        (TABLE, [0, 2], "expected[1]", "0, 1"),
        (TABLE, 0, "expected", "a list of 2"),
        (TABLE, [0, 1, 0], "expected", "a list of 2"),
        (DIGIT, {"label": 3}, "expected", "the name of a class"),
        (DIGIT, [[3]], "expected[0]", "the name of a class"),
        (DIGIT, [], "expected", "one value"),
        ({"predictions": [1.5]}, "much", "expected", "a number"),
        ({"predictions": [1.5]}, True, "expected", "a number"),
    ],
)
def test_what_cannot_be_right(output: Any, given: Any, where: str, expected: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        DEFAULT.truth(given, output)
    assert (caught.value.where, caught.value.expected) == (where, expected)


def test_a_family_knows_its_classes_where_the_answer_does_not() -> None:
    digits = judge_of(discover(), "digits")
    assert digits.truth(9, DIGIT) == ["9"]
    with pytest.raises(InvalidInputError) as caught:
        digits.truth(10, DIGIT)
    assert caught.value.expected == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert judge_of(discover(), "gone") is judge_of({}, None) is DEFAULT


def test_accuracy_and_f1_of_all_rows() -> None:
    pairs = [(["a", "a"], ["a", "b"]), (["b"], ["b"]), (["a"], ["a"])]
    measures = DEFAULT.quality(pairs)
    assert measures["accuracy"] == 0.75
    # a: precision 2/3, recall 1; b: precision 1, recall 1/2.
    assert measures["f1"] == pytest.approx((0.8 + 2 / 3) / 2)
    assert DEFAULT.right(["a"], ["a"]) is True
    assert DEFAULT.right(["a", "b"], ["a", "a"]) is False


def test_errors_of_numbers() -> None:
    measures = DEFAULT.quality([([1.0, 2.0], [1.0, 4.0]), ([3.0], [4.0])])
    assert measures == {
        "mae": pytest.approx(1.0),
        "rmse": pytest.approx((5 / 3) ** 0.5),
        "r2": pytest.approx(1 - 5 / 6),
    }
    assert "r2" not in DEFAULT.quality([([1.0], [2.0])])
    assert DEFAULT.right([1.0], [1.0]) is None
