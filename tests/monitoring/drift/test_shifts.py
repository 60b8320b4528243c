"""Changes that must be seen: how few predictions that takes."""

from collections.abc import Sequence

import numpy as np
import pytest

from services.monitoring.drift.baseline import Baseline
from services.monitoring.drift.compare import compare
from services.monitoring.drift.report import DriftReport
from services.monitoring.drift.samples import Sample
from tests.monitoring.drift import data

SIZES = (20, 30, 50, 75, 100, 150, 200, 300, 500)
MOST_WINDOWS = 10
# Baselines have as many rows as the families hold out of their data.


def smallest(name: str, baseline: Baseline, changed: Sequence[Sample]) -> int:
    """Return from which size on all windows alarm; no sample is in two windows of one size."""
    shares = {}
    for size in SIZES:
        count = min(MOST_WINDOWS, len(changed) // size)
        found = [
            compare(baseline, changed[start * size : (start + 1) * size], minimum=size)
            for start in range(count)
        ]
        shares[size] = (sum(report.verdict == "drift" for report in found), count)
    said = {size: f"{hits}/{count}" for size, (hits, count) in shares.items()}
    print(name, said)  # noqa: T201
    missed = [size for size, (hits, count) in shares.items() if hits < count]
    return next(size for size in (*SIZES, 10_000) if size > max(missed, default=0))


def drifted(report: DriftReport) -> set[str]:
    return {one.feature for one in report.features if one.drifted}


@pytest.mark.slow
def test_three_of_twenty_features_moved_by_one_deviation() -> None:
    rows = data.table_rows(6000)
    baseline = Baseline.fit(data.table_samples(rows[:1000]), fields=data.COLUMNS)
    # The answers depend on the first two columns, so three others are moved.
    step = np.std(rows[:1000], axis=0) * [0, 0, 1, 1, 1, *[0] * 15]
    changed = data.table_samples(data.moved(rows[1000:], step.tolist()))
    report = compare(baseline, changed[:500])
    assert report.verdict == "drift"
    assert drifted(report) == {"feature_3", "feature_4", "feature_5"}
    assert smallest("3 of 20 columns", baseline, changed) <= 100


@pytest.mark.slow
def test_inverted_digits() -> None:
    order = np.random.default_rng(0).permutation(1797).tolist()
    plain, inverted = data.digits(), data.digits(inverted=True)
    baseline = Baseline.fit([plain[index] for index in order[:360]], fields=["image"])
    changed = [inverted[index] for index in order[360:]]
    report = compare(baseline, changed[:500])
    assert report.verdict == "drift"
    assert drifted(report) == {"image", "image.brightness"}
    assert smallest("inverted digits", baseline, changed) <= 50


@pytest.mark.slow
def test_reviews_of_another_domain() -> None:
    """A baseline of films, books, music and games; then hotels, food, gadgets, clothing …"""
    everything = data.reviews()
    own = data.shuffled([text for topic, text in everything if topic in data.ENTERTAINMENT], 0)
    baseline = Baseline.fit(data.texts(own[:400]), fields=["text"])
    assert compare(baseline, data.texts(own[400:])).verdict == "ok"
    others = [text for topic, text in everything if topic not in {*data.ENTERTAINMENT, "mixed"}]
    changed = data.texts(data.shuffled(others, 0))
    assert compare(baseline, changed[:500]).verdict == "drift"
    assert smallest("reviews of other things", baseline, changed) <= 150


@pytest.mark.slow
def test_texts_that_are_no_reviews() -> None:
    own = data.shuffled([text for _, text in data.reviews()], 0)
    baseline = Baseline.fit(data.texts(own[:392]), fields=["text"])
    changed = data.texts(data.shuffled(data.documentation(), 0))
    assert len(changed) > 500
    report = compare(baseline, changed[:500])
    assert {"text", "text.unknown_words"} <= drifted(report)
    assert smallest("documentation", baseline, changed) <= 50
