"""200 windows without any change, for each kind of input: at most 2 % may alarm."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from services.monitoring.drift.baseline import Baseline
from services.monitoring.drift.compare import MINIMUM, compare
from services.monitoring.drift.samples import Sample
from tests.monitoring.drift import data

WINDOWS = 200
MOST_ALARMS = 4
# As many rows as the families hold out of their data, for those are what baselines are made of.
LEARNED, LEARNED_DIGITS, LEARNED_REVIEWS = 1000, 360, 392


def of_the_table() -> Iterator[tuple[Baseline, list[Sample]]]:
    """One baseline; every row of every window is in no other."""
    rows = data.table_samples(data.table_rows(LEARNED + WINDOWS * MINIMUM))
    baseline = Baseline.fit(rows[:LEARNED], fields=data.COLUMNS)
    for start in range(LEARNED, len(rows) - MINIMUM + 1, MINIMUM):
        yield baseline, rows[start : start + MINIMUM]


def of_splits(samples: Sequence[Sample], learned: int) -> Iterator[tuple[Baseline, list[Sample]]]:
    """Divide the samples anew again and again, a baseline and as many windows as the rest gives.

    Within a division no sample is used twice; there are too few for 200 windows from one.
    """
    seed = 0
    while True:
        order = data.shuffled(samples, seed)
        baseline = Baseline.fit(order[:learned])
        for start in range(learned, len(order) - MINIMUM + 1, MINIMUM):
            yield baseline, order[start : start + MINIMUM]
        seed += 1


def of_digits() -> Iterator[tuple[Baseline, list[Sample]]]:
    return of_splits(data.digits(), LEARNED_DIGITS)


def of_reviews() -> Iterator[tuple[Baseline, list[Sample]]]:
    return of_splits(data.texts([text for _, text in data.reviews()]), LEARNED_REVIEWS)


@pytest.mark.slow
@pytest.mark.parametrize("windows", [of_the_table, of_digits, of_reviews])
def test_no_change_no_alarm(
    windows: Callable[[], Iterator[tuple[Baseline, list[Sample]]]],
) -> None:
    drawn = windows()
    reports = [compare(*next(drawn)) for _ in range(WINDOWS)]
    assert all(report.tests > 3 and not report.unjudged for report in reports)
    alarms = sum(report.verdict == "drift" for report in reports)
    print(  # noqa: T201
        f"{windows.__name__}: {alarms} alarms of {WINDOWS}, "
        f"highest score {max(report.score for report in reports):.2f}, "
        f"lowest p {min(one.p_value for report in reports for one in report.features):.3g}"
    )
    assert alarms <= MOST_ALARMS


@pytest.mark.slow
def test_a_large_window_does_not_alarm_on_trifles() -> None:
    """A quarter of a deviation is beyond doubt in 4,000 rows, and still nothing to wake for."""
    rows = data.table_rows(LEARNED + 4000)
    baseline = Baseline.fit(data.table_samples(rows[:LEARNED]), fields=data.COLUMNS)
    step = (0.25 * np.std(rows[:LEARNED], axis=0)).tolist()
    report = compare(baseline, data.table_samples(data.moved(rows[LEARNED:], step)))
    assert min(one.p_value for one in report.features) < report.alpha
    assert report.verdict == "ok"
    assert 0 < report.score < 1
