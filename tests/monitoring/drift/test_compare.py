import json
from collections.abc import Callable

import numpy as np
import pytest

from services.monitoring.drift.baseline import Baseline
from services.monitoring.drift.compare import compare
from services.monitoring.drift.describe import describe
from services.monitoring.drift.report import DriftReport, FeatureDrift
from services.monitoring.drift.samples import Sample

CITIES = ["Rome", "Oslo", "Lima"]
Change = Callable[[dict[str, object], int], dict[str, object]]


def people(count: int, seed: int, change: Change | None = None) -> list[Sample]:
    """A table with numbers, categories, missing values, a constant and an id."""
    generator = np.random.default_rng(seed)
    found = []
    for number in range(count):
        row: dict[str, object] = {
            "age": float(generator.normal(40, 10)),
            "city": str(generator.choice(CITIES, p=[0.6, 0.3, 0.1])),
            "income": float(generator.normal(3, 1)) if generator.random() > 0.2 else None,
            "constant": 1.0,
            "id": f"id-{generator.integers(10**9)}",
            "flag": bool(generator.random() > 0.5),
        }
        output = {"prediction": int(generator.random() > 0.7), "confidence": generator.beta(8, 2)}
        changed = row if change is None else change(row, number)
        found += describe({"inputs": [changed]}, json.loads(json.dumps(output)))
    return found


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    return Baseline.fit(people(1000, 0))


def of(report: DriftReport, feature: str) -> FeatureDrift:
    return next(one for one in report.features if one.feature == feature)


def test_no_change(baseline: Baseline) -> None:
    report = compare(baseline, people(300, 1))
    assert (report.verdict, report.samples, report.missing) == ("ok", 300, 0)
    assert report.score < 1
    assert {one.feature for one in report.features} == set(baseline.features)
    assert not report.unjudged
    json.dumps(report.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("feature", "finding", "change"),
    [
        ("age", "distribution", lambda row, n: {**row, "age": row["age"] + 10}),
        ("age", "", lambda row, n: {**row, "age": 40 + (row["age"] - 40) * 3}),
        ("age", "unseen", lambda row, n: {**row, "age": 1e9 if n % 10 == 0 else row["age"]}),
        ("age", "unseen", lambda row, n: {**row, "age": "forty" if n % 10 == 0 else row["age"]}),
        ("city", "distribution", lambda row, n: {**row, "city": CITIES[n % 3]}),
        ("city", "unseen", lambda row, n: {**row, "city": "Bonn" if n % 5 == 0 else row["city"]}),
        ("income", "missing", lambda row, n: {**row, "income": None if n % 2 else row["income"]}),
        ("income", "missing", lambda row, n: {**row, "income": row["income"] or 3.0}),
        ("age", "missing", lambda row, n: {k: v for k, v in row.items() if k != "age"}),
        ("constant", "", lambda row, n: {**row, "constant": 2.0 if n % 3 == 0 else 1.0}),
        ("flag", "distribution", lambda row, n: {**row, "flag": True}),
        ("brand new", "missing", lambda row, n: {**row, "brand new": 1.0}),
    ],
)
def test_each_change_is_found_where_it_is(
    baseline: Baseline, feature: str, finding: str, change: Change
) -> None:
    report = compare(baseline, people(300, 2, change))
    assert report.verdict == "drift"
    assert report.features[0].feature == feature
    assert [one.feature for one in report.features if one.drifted] == [feature]
    # A wider or another value changes the distribution and is new at once.
    assert report.features[0].finding in ({finding} if finding else {"distribution", "unseen"})
    assert report.score == report.features[0].score >= 1


def test_answers_and_their_confidence(baseline: Baseline) -> None:
    window = [
        Sample(sample.features, "1", 0.2 + 0.1 * (number % 3))
        for number, sample in enumerate(people(200, 3))
    ]
    report = compare(baseline, window)
    assert {one.feature for one in report.features if one.drifted} == {"_prediction", "_confidence"}
    without = [Sample(sample.features) for sample in people(200, 3)]
    assert compare(baseline, without).verdict == "ok"
    assert set(compare(baseline, without).unjudged) == {"_prediction", "_confidence"}


def test_short_windows_have_no_verdict(baseline: Baseline) -> None:
    window = people(60, 4, lambda row, n: {**row, "age": 1000.0})
    report = compare(baseline, [*window, *[Sample({})] * 500])
    assert (report.verdict, report.score) == ("not_enough_data", 0.0)
    assert (report.samples, report.missing, report.features) == (60, 40, ())
    assert compare(baseline, [], minimum=30).missing == 30
    assert compare(baseline, window, minimum=60).verdict == "drift"


def test_what_is_hidden_or_not_on_record_is_not_judged(baseline: Baseline) -> None:
    redacted = people(200, 5, lambda row, n: {**row, "city": "[redacted]"})
    report = compare(baseline, redacted)
    assert report.verdict == "ok"
    assert report.unjudged == ("city",)
    answers = [Sample({}, sample.prediction, sample.confidence) for sample in redacted]
    report = compare(baseline, answers)
    assert report.verdict == "ok"
    assert {one.feature for one in report.features} == {"_prediction", "_confidence"}
    inputs = Baseline.fit([Sample({"a": float(n)}) for n in range(100)])
    assert compare(inputs, answers).verdict == "not_enough_data"


def test_two_reports_of_one_window_are_equal(baseline: Baseline) -> None:
    window = people(300, 6)
    assert compare(baseline, window) == compare(baseline, window)
    stored = Baseline.from_bytes(baseline.to_bytes())
    assert compare(stored, window) == compare(baseline, window)
