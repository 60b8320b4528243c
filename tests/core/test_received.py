"""What came, in words: true, short, and quick whatever it is."""

import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.received import counted, describe
from tests.support.patience import AT_ONCE

CASES: list[tuple[Any, str]] = [
    (None, "null"),
    (True, "true or false"),
    (1, "a number"),
    (-(10**400), "a number"),
    (math.nan, "a number that is not finite"),
    ("", "text of 0 characters"),
    ("hello, world", "text of 12 characters"),
    ("\ud800", "text of 1 character"),
    (b"abc", "3 bytes"),
    ({}, "an empty object"),
    ({"a": 1}, "an object with 1 field"),
    ([], "an empty list"),
    ([1.5], "a list of 1 number"),
    ([1] * 19, "a list of 19 numbers"),
    ([1, "a"], "a list of 2 values"),
    ([{"a": 1}] * 3, "a list of 3 objects"),
    ([[1.0] * 20] * 3, "a list [3][20] of numbers"),
    ([["a", "b"]], "a list [1][2] of texts"),
    ([[1], [1, 2]], "a list of 2 lists of different lengths"),
    ([[[1], [1, 2]]], "a list [1][2] of lists of different lengths"),
    ([[], []], "a list [2][0]"),
    ([[1] * 2000] * 2000, "a list [2000][2000] of values"),
    (np.zeros((2, 5), np.float32), "float32 [2, 5]"),
    (object(), "no JSON value"),
]


@pytest.mark.parametrize(("value", "words"), CASES, ids=[words for _, words in CASES])
def test_words(value: Any, words: str) -> None:
    assert describe(value) == words


@pytest.mark.parametrize(("count", "words"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows")])
def test_counted(count: int, words: str) -> None:
    assert counted(count, "row") == words


def _nested(depth: int, width: int) -> list[Any]:
    value: list[Any] = [1] * width
    for _ in range(depth):
        value = [value] * width
    return value


def test_time_and_length_do_not_grow_with_the_value() -> None:
    """Walked to its end, each of the first two would take longer than there is."""
    hostile = [_nested(40, 10), _nested(100_000, 1), [[1] * 1000] * 100_000, "x" * 10_000_000]
    started = time.perf_counter()
    words = [describe(value) for value in hostile]
    assert time.perf_counter() - started < AT_ONCE
    assert all(len(one) < 100 for one in words)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(min_size=3),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(min_size=3), inner),
)


@given(JSON)
def test_anything_is_described(value: Any) -> None:
    words = describe(value)
    assert words
    assert len(words) < 100


@given(st.text(min_size=1, alphabet="0123456789qzQZ_"))
def test_a_text_is_never_repeated(secret: str) -> None:
    marked = f"<{secret}>"
    assert marked not in describe(marked) + describe([marked]) + describe({marked: marked})
