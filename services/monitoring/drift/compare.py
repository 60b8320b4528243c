"""Whether a window of predictions looks as its baseline did."""

from collections.abc import Sequence

import numpy as np

from services.monitoring.drift import watched
from services.monitoring.drift.baseline import Baseline
from services.monitoring.drift.numbers import FEW
from services.monitoring.drift.report import NOT_ENOUGH, DriftReport, judged
from services.monitoring.drift.samples import CONFIDENCE, PREDICTION, Finding, Sample, Value

MINIMUM = 100
# The chance that a window without any change alarms is at most this (Holm's correction).
ALPHA = 0.001

_MOST_ROWS = 5000
_MOST_NEW = 32
_SEED = 7


def compare(
    baseline: Baseline, window: Sequence[Sample], *, minimum: int = MINIMUM, alpha: float = ALPHA
) -> DriftReport:
    """Test a window of rows against a baseline.

    Each feature is tested for its distribution, for values that were never seen, and for being
    missing. It has drifted if one of these changes is significant after correction for all tests
    of the report, and at least as large as what counts (`docs/drift.md`).

    Args:
        window: rows, in any order; of more than 5,000 a random choice, always the same.
        minimum: rows that a verdict takes; rows that say nothing do not count.
        alpha: chance of a false alarm.
    """
    rows = [sample for sample in window if not sample.empty]
    if len(rows) > _MOST_ROWS:
        order = np.random.default_rng(_SEED).permutation(len(rows))[:_MOST_ROWS]
        rows = [rows[int(index)] for index in order]
    if len(rows) < max(1, minimum):
        short = max(1, minimum) - len(rows)
        return DriftReport(NOT_ENOUGH, 0.0, len(rows), short, 0, alpha, (), ())
    findings, unjudged = _inputs(baseline, rows)
    for name, one in baseline.answers.items():
        values = _answers(rows, name)
        if len(values) < FEW:
            unjudged.append(name)
        else:
            findings += one.compare(name, values)
    if not findings:
        return DriftReport(
            NOT_ENOUGH, 0.0, len(rows), max(1, minimum), 0, alpha, (), tuple(unjudged)
        )
    return judged(findings, len(rows), alpha, tuple(unjudged))


def _inputs(baseline: Baseline, rows: Sequence[Sample]) -> tuple[list[Finding], list[str]]:
    featured = [sample for sample in rows if sample.features or sample.hidden]
    findings: list[Finding] = []
    unjudged = []
    for name, one in baseline.watched.items():
        values = [s.features.get(name) for s in featured if name not in s.hidden]
        if len(values) < FEW:
            unjudged.append(name)
        else:
            findings += one.compare(name, values)
    known = {*baseline.watched, *baseline.skipped}
    fresh = sorted({name for sample in featured for name in sample.features} - known)
    if baseline.watched and len(featured) >= FEW:
        of = max(one.absent[1] for one in baseline.watched.values())
        for name in fresh[:_MOST_NEW]:
            values = [sample.features.get(name) for sample in featured]
            findings.append(watched.absence(name, watched.kind_of(values), (of, of), values))
    return findings, unjudged


def _answers(rows: Sequence[Sample], name: str) -> list[Value]:
    values: list[Value] = []
    if name == PREDICTION:
        values += [row.prediction for row in rows if row.prediction is not None]
    elif name == CONFIDENCE:
        values += [row.confidence for row in rows if row.confidence is not None]
    return values
