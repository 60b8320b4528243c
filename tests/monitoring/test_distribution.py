"""Quantiles out of buckets, against values worked out by hand."""

import math

import pytest

from services.monitoring.distribution import Distribution, merged

INF = math.inf
# 2 values up to 1, 6 in (1, 3], 2 in (3, 5], none above.
TEN = Distribution(10, 24.0, ((1.0, 2), (3.0, 8), (5.0, 10), (INF, 10)))


@pytest.mark.parametrize(
    ("share", "value"),
    [
        (0.0, 0.0),
        (0.1, 0.5),  # the first of the two in the first bucket
        (0.2, 1.0),
        (0.5, 2.0),  # rank 5: three of the six in (1, 3]
        (0.8, 3.0),
        (0.9, 4.0),
        (1.0, 5.0),
    ],
)
def test_interpolation_within_a_bucket(share: float, value: float) -> None:
    assert TEN.quantile(share) == pytest.approx(value)


def test_the_mean() -> None:
    assert TEN.mean == 2.4


def test_values_beyond_the_last_bound_are_given_as_that_bound() -> None:
    beyond = Distribution(4, 100.0, ((1.0, 1), (2.0, 2), (INF, 4)))
    assert beyond.quantile(0.5) == 2.0
    assert beyond.quantile(0.99) == 2.0
    assert Distribution(3, 9.0, ((1.0, 0), (INF, 3))).quantile(0.5) == 1.0


def test_empty_buckets_are_passed_over() -> None:
    gaps = Distribution(2, 5.0, ((1.0, 0), (2.0, 0), (4.0, 2), (8.0, 2), (INF, 2)))
    assert gaps.quantile(0.5) == 3.0
    assert gaps.quantile(1.0) == 4.0


def test_nothing_observed() -> None:
    nothing = Distribution(0, 0.0, ((1.0, 0), (INF, 0)))
    assert (nothing.mean, nothing.quantile(0.5)) == (None, None)


def test_merged() -> None:
    both = merged([TEN, Distribution(2, 1.0, ((1.0, 2), (3.0, 2), (5.0, 2), (INF, 2)))])
    assert (both.count, both.total) == (12, 25.0)
    assert list(both.buckets) == [(1.0, 4), (3.0, 10), (5.0, 12), (INF, 12)]
    assert merged([]).count == 0
