"""The measures by which versions without data of their own are compared."""

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, r2_score

from services.core.errors import InvalidInputError
from services.rollout.scores import r2, score


def test_classes_are_compared_whatever_their_spelling() -> None:
    assert score([1, 0, 1.0, "1"], ["1", "0", "0", "1"]) == ("accuracy", 0.75)
    assert score(["Cat", "dog "], ["cat", "DOG"]) == ("accuracy", 1.0)
    assert score([True, False], ["True", "false"]) == ("accuracy", 1.0)


def test_truth_values_are_numbers_too() -> None:
    assert score([True, False, True], ["1", "0", "0"]) == ("accuracy", 2 / 3)


def test_scores_of_classes_count_by_the_highest() -> None:
    assert score([[0.1, 0.9], [0.8, 0.2]], ["1", "1"]) == ("accuracy", 0.5)


def test_a_column_of_one_is_its_value() -> None:
    assert score([[3.5], [1.0]], ["3.5", "1"]) == ("r2", 1.0)
    assert score([{"price": 3.5}, {"price": 1.0}], ["3.5", "1"]) == ("r2", 1.0)


@pytest.mark.parametrize("seed", range(3))
def test_they_agree_with_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    right = rng.normal(size=50)
    found = right + rng.normal(scale=0.5, size=50)
    name, value = score(found.tolist(), [repr(float(answer)) for answer in right])
    assert name == "r2"
    assert value == pytest.approx(r2_score(right, found), abs=1e-12)
    classes, guesses = rng.integers(0, 3, 50), rng.integers(0, 3, 50)
    name, value = score(guesses.tolist(), [str(answer) for answer in classes])
    assert (name, value) == ("accuracy", accuracy_score(classes, guesses))


def test_a_regression_of_whole_numbers_is_one() -> None:
    """Predictions with fractions give it away: accuracy would be nought for every version."""
    name, value = score([10.2, 19.7, 30.1], ["10", "20", "30"])
    assert name == "r2"
    assert value > 0.99


def test_a_regression_that_breaks_is_no_accuracy() -> None:
    with pytest.raises(InvalidInputError, match="no number"):
        score([None, 1.5], ["1", "2"])
    with pytest.raises(InvalidInputError, match="same number"):
        r2([1.0, 2.0], [3.0, 3.0])
    with pytest.raises(InvalidInputError):
        r2([math.nan], [3.0])


def test_every_row_needs_its_answer() -> None:
    with pytest.raises(InvalidInputError, match="one answer"):
        score([1], ["1", "2"])
