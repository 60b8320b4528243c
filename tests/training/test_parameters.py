"""Parameters of training: completed, checked, kept in their own type."""

from typing import Any

import pytest

from services.core.errors import InvalidInputError
from services.training.parameters import complete
from tests.training.toy import FAMILY


def test_what_is_not_given_has_its_default() -> None:
    assert complete(FAMILY, {"rounds": 7}) == {**FAMILY.defaults(), "rounds": 7}


def test_a_whole_number_is_a_number() -> None:
    value = complete(FAMILY, {"learning_rate": 1})["learning_rate"]
    assert (value, type(value)) == (1.0, float)


@pytest.mark.parametrize(
    ("given", "where", "expected"),
    [
        ({"rounds": 0}, "rounds", "a whole number from 1 to 50"),
        ({"rounds": 51}, "rounds", "a whole number from 1 to 50"),
        ({"rounds": 2.5}, "rounds", "a whole number"),
        ({"rounds": True}, "rounds", "a whole number"),
        ({"rounds": "5"}, "rounds", "a whole number"),
        ({"learning_rate": float("nan")}, "learning_rate", "a number from 0.0001 to 1"),
        ({"pause": -1.0}, "pause", "a number of at least 0"),
        ({"pause": float("inf")}, "pause", "a number of at least 0"),
        ({"guess": "top"}, "guess", "one of middle, bottom"),
        ({"flawed": 1}, "flawed", "true or false"),
        ({"depth": 3}, "depth", "any of rounds, learning_rate"),
        ({"no such thing": 3}, None, "any of rounds"),
    ],
)
def test_what_is_not_accepted_is_named(
    given: dict[str, Any], where: str | None, expected: str
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        complete(FAMILY, given)
    assert refused.value.where == where
    assert expected in (refused.value.expected or "")
