"""Which predictions get a trace: the rule, as it is stated."""

import pytest

from services.core.ids import new_id
from services.core.settings import Settings
from services.ledger.shipping.thinning import Bucket, chosen, must_send, share
from tests.conftest import MakeSettings
from tests.ledger.database.made import record


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    return make_settings(ledger_trace_rate=100, ledger_trace_lag=120, ledger_low_confidence=0.5)


@pytest.mark.parametrize(
    ("backlog", "expected"), [(0, 1.0), (12_000, 1.0), (24_000, 0.5), (1_200_000, 0.01)]
)
def test_the_share_is_what_can_be_sent_within_the_lag(
    settings: Settings, backlog: int, expected: float
) -> None:
    assert share(settings, backlog) == pytest.approx(expected)


def test_no_rate_no_share(make_settings: MakeSettings) -> None:
    assert share(make_settings(ledger_trace_rate=0), 1) == 0


@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.9, 1.0])
def test_the_share_is_even(part: float) -> None:
    ids = [new_id() for _ in range(20_000)]
    # In every stretch, not only in the whole: four standard deviations of chance.
    for start in range(0, len(ids), 5_000):
        count = sum(chosen(one, part) for one in ids[start : start + 5_000])
        assert abs(count - 5_000 * part) <= 4 * (5_000 * part * (1 - part)) ** 0.5


def test_a_larger_share_holds_the_smaller_one() -> None:
    ids = [new_id() for _ in range(5_000)]
    small = {one for one in ids if chosen(one, 0.2)}
    large = {one for one in ids if chosen(one, 0.4)}
    assert small and small < large
    assert small == {one for one in ids if chosen(one, 0.2)}


def test_what_must_be_sent(settings: Settings) -> None:
    def must(*, feedback: bool = False, **values: object) -> bool:
        return must_send(settings, record(**values), feedback=feedback)

    assert not must(confidence=0.9)
    assert not must(confidence=None)
    assert not must(confidence=0.5)
    assert must(confidence=0.49)
    assert must(confidence=0.9, feedback=True)
    assert must(status="failed", error={"code": "prediction_failed"})
    assert must(status="canceled")


def test_tokens_come_with_time_and_gather_for_a_while_only() -> None:
    bucket = Bucket(10.0, now=0.0)
    assert bucket.available(now=0.0) == 50
    bucket.take(50)
    assert bucket.available(now=0.05) == 0
    assert bucket.available(now=1.0) == 10
    bucket.take(10)
    assert bucket.available(now=3600.0) == 50


def test_in_the_long_run_no_more_than_the_rate() -> None:
    bucket, taken = Bucket(10.0, now=0.0), 0
    for tick in range(1, 1001):
        some = bucket.available(now=tick / 10)
        bucket.take(some)
        taken += some
    assert taken == pytest.approx(10 * 100 + 50, abs=5)


def test_a_slow_rate_is_not_none() -> None:
    bucket = Bucket(0.1, now=0.0)
    bucket.take(bucket.available(now=0.0))
    assert bucket.available(now=9.0) == 0
    assert bucket.available(now=11.0) == 1
