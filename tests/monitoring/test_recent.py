"""Rates over the last minute, from totals that somebody asks for now and then."""

import pytest

from services.monitoring.recent import Recent


def test_the_first_to_ask_gets_none() -> None:
    recent: Recent[str] = Recent()
    assert recent.rates(100.0, {"a": 5.0}) is None
    assert recent.rates(100.0, {"a": 5.0}) is None


def test_the_rate_since_the_first() -> None:
    recent: Recent[str] = Recent()
    recent.rates(100.0, {"a": 5.0})
    assert recent.rates(102.0, {"a": 15.0, "new": 4.0}) == (2.0, {"a": 5.0, "new": 2.0})


def test_the_rate_is_of_the_last_minute_once_there_is_one() -> None:
    recent: Recent[str] = Recent()
    for second in range(0, 301):
        found = recent.rates(float(second), {"a": float(second**2)})
    assert found is not None
    seconds, rates = found
    assert 57 <= seconds <= 63
    assert rates["a"] == pytest.approx((300**2 - (300 - seconds) ** 2) / seconds)


def test_snapshots_do_not_pile_up() -> None:
    recent: Recent[str] = Recent()
    for tenth in range(20_000):
        recent.rates(tenth / 10, {"a": float(tenth)})
    assert len(recent._snapshots) <= 15


def test_after_a_long_silence_the_rate_is_over_all_of_it() -> None:
    recent: Recent[str] = Recent()
    recent.rates(0.0, {"a": 0.0})
    recent.rates(10.0, {"a": 100.0})
    assert recent.rates(1010.0, {"a": 2100.0}) == (1000.0, {"a": 2.0})
    assert recent.rates(1020.0, {"a": 2200.0}) == (10.0, {"a": 10.0})
