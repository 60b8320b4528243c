"""What was found, and what it amounts to."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from services.monitoring.drift.samples import Finding
from services.monitoring.drift.statistics import holm

OK, DRIFT, NOT_ENOUGH = "ok", "drift", "not_enough_data"

_HIGHEST = 10.0


@dataclasses.dataclass(frozen=True, slots=True)
class FeatureDrift:
    """What is said of one feature: the strongest of its findings.

    Attributes:
        score: 0 to 10; from 1.0 on it has drifted.
        finding: `distribution`, `unseen`, `missing` or `embedding`.
        kind: `number`, `category`, `text` or `array`.
        samples: values of it in the window.
        psi: population stability index, less what it is by chance; None for texts and arrays.
        ks: Kolmogorov-Smirnov distance of numbers.
        effect: size of the finding; 1.0 is the least that counts.
        p_value: of the finding, corrected for all tests of the report.
        note: the change in a few words.
    """

    feature: str
    score: float
    drifted: bool
    finding: str
    kind: str
    samples: int
    psi: float | None
    ks: float | None
    effect: float
    p_value: float
    note: str


@dataclasses.dataclass(frozen=True, slots=True)
class DriftReport:
    """A verdict and its reasons.

    Attributes:
        verdict: `ok`, `drift` or `not_enough_data`.
        score: the highest of the features; 1.0 is where it alarms.
        samples: rows in the window that say anything.
        missing: rows short of a verdict.
        tests: how many were corrected for.
        alpha: chance of a false alarm.
        features: those that were tested, the highest score first.
        unjudged: features of the baseline of which the window says too little.
    """

    verdict: str
    score: float
    samples: int
    missing: int
    tests: int
    alpha: float
    features: tuple[FeatureDrift, ...]
    unjudged: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return dataclasses.asdict(self)


def judged(
    findings: Sequence[Finding], samples: int, alpha: float, unjudged: tuple[str, ...]
) -> DriftReport:
    """Correct the findings for their number, and make a report of them."""
    corrected = holm(np.array([finding.p_value for finding in findings]))
    by_feature: dict[str, list[tuple[float, float, Finding]]] = {}
    for finding, p_value in zip(findings, corrected.tolist(), strict=True):
        score = _score(finding.effect, p_value, alpha)
        by_feature.setdefault(finding.feature, []).append((score, p_value, finding))
    features = sorted(
        (_strongest(name, found) for name, found in by_feature.items()),
        key=lambda one: (-one.score, one.p_value, one.feature),
    )
    highest = max((one.score for one in features), default=0.0)
    verdict = DRIFT if highest >= 1 else OK
    return DriftReport(
        verdict, highest, samples, 0, len(findings), alpha, tuple(features), unjudged
    )


def _score(effect: float, p_value: float, alpha: float) -> float:
    """Return at least 1 if, and only if, a finding is both significant and large enough."""
    certain = _HIGHEST if p_value <= 0 else math.log(p_value) / math.log(alpha)
    return float(min(max(0.0, min(effect, certain)), _HIGHEST))


def _strongest(name: str, found: Sequence[tuple[float, float, Finding]]) -> FeatureDrift:
    score, p_value, chosen = max(found, key=lambda one: (one[0], -one[1]))
    shape = next((f for _, _, f in found if f.psi is not None), chosen)
    return FeatureDrift(
        feature=name,
        score=score,
        drifted=score >= 1,
        finding=chosen.finding,
        kind=chosen.kind,
        samples=chosen.samples,
        psi=shape.psi,
        ks=shape.ks,
        effect=chosen.effect,
        p_value=p_value,
        note=chosen.note,
    )
