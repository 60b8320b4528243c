"""Minutes: what is counted, told once, and how close the quantiles are."""

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ledger.database import minutes
from services.ledger.database.minutes import Minute, bucket, minute_of, quantile
from services.ledger.database.opening import Database
from tests.ledger.database.made import NOON, fill, record

THIS = minute_of(NOON)


def told(database: Database, before: int = THIS + 100) -> list[Minute]:
    with database.reading() as connection:
        return minutes.closed(connection, before, 1000)


def test_a_minute_is_counted(database: Database) -> None:
    fill(
        database,
        [
            record(seconds=0.010, confidence=0.5, time=NOON),
            record(seconds=0.020, confidence=1.0, time=NOON + 59.9),
            record(seconds=0.030, confidence=None, status="failed", time=NOON + 1),
            record(seconds=0.040, confidence=None, status="canceled", time=NOON + 1),
            record(time=NOON + 60),
            record(version="2"),
        ],
    )
    first, other, later = told(database)
    assert (first.model, first.version, first.minute) == ("credit", "1", THIS)
    assert (first.count, first.errors, first.shipped_count) == (4, 1, 0)
    assert (first.confidence_sum, first.confidence_count) == (1.5, 2)
    assert sum(first.histogram.values()) == 4
    assert quantile(first.histogram, 0.5) == pytest.approx(0.020, rel=0.01)
    assert quantile(first.histogram, 0.99) == pytest.approx(0.040, rel=0.01)
    assert (other.version, other.minute, other.count) == ("2", THIS, 1)
    assert (later.version, later.minute, later.count) == ("1", THIS + 1, 1)


def test_what_comes_in_pieces_adds_up(database: Database) -> None:
    random.seed(5)
    durations = [random.lognormvariate(-5, 1) for _ in range(900)]
    made = [record(seconds=value, time=NOON + n % 3) for n, value in enumerate(durations)]
    for start in range(0, 900, 90):
        fill(database, made[start : start + 90])
    (minute,) = told(database)
    assert minute.count == sum(minute.histogram.values()) == 900
    assert minute.confidence_sum == pytest.approx(900 * 0.75)
    exact = statistics.quantiles(durations, n=20)
    assert quantile(minute.histogram, 0.5) == pytest.approx(exact[9], rel=0.02)
    assert quantile(minute.histogram, 0.95) == pytest.approx(exact[18], rel=0.02)


def test_a_minute_is_told_once_and_again_when_more_came(database: Database) -> None:
    fill(database, [record(), record(time=NOON + 60)])
    assert [minute.minute for minute in told(database, THIS)] == []
    seen = told(database, THIS + 1)
    assert [minute.minute for minute in seen] == [THIS]
    # Between the reading and the telling, one more comes.
    fill(database, [record()], number=2)
    with database.begin() as connection:
        minutes.mark_shipped(connection, seen)
    (again,) = told(database, THIS + 1)
    assert (again.count, again.shipped_count) == (2, 1)
    with database.begin() as connection:
        minutes.mark_shipped(connection, told(database))
        minutes.mark_shipped(connection, [])
    assert told(database) == []


def test_many_minutes_in_one_chunk(database: Database) -> None:
    """A backlog, or a clock that was set: each minute is counted, and given oldest first."""
    made = [record(time=NOON - 60 * n, model=f"m{n % 2}") for n in range(700)]
    assert fill(database, made) == 700
    assert fill(database, made, number=2) == 0
    found = told(database)
    assert len(found) == 700
    assert [m.minute for m in found] == sorted(m.minute for m in found)
    with database.reading() as connection:
        assert minutes.closed(connection, THIS + 100, 10) == found[:10]


@given(
    st.lists(st.floats(min_value=1e-6, max_value=1e5), min_size=1, max_size=50),
    st.floats(min_value=0.0, max_value=1.0),
)
def test_a_quantile_is_within_two_percent(durations: list[float], q: float) -> None:
    histogram: dict[str, int] = {}
    for seconds in durations:
        key = str(bucket(seconds))
        histogram[key] = histogram.get(key, 0) + 1
    ordered = sorted(durations)
    exact = min(value for n, value in enumerate(ordered, 1) if n >= q * len(ordered))
    assert quantile(histogram, q) == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-1.0, 0), (0.0, 0), (1e-6, 0), (1e-9, 0), (float("nan"), 0), (float("inf"), 1400)],
)
def test_odd_durations_have_a_bucket(seconds: float, expected: int) -> None:
    assert bucket(seconds) == expected


def test_buckets_grow_with_durations() -> None:
    found = [bucket(1e-6 * 1.01**n) for n in range(3000)]
    assert found == sorted(found)
    assert found[-1] == 1400


def test_nothing_has_no_quantile() -> None:
    assert str(quantile({}, 0.5)) == "nan"
