"""How long an answer takes: of two versions in turn, so that both meet the same machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from time import perf_counter
from typing import Any

from services.families.base import Model, predict

_WARM_UP = 3
# Seconds after which no further round begins; a slow model is timed less often.
_PATIENCE = 15.0
_FEWEST = 3


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds that single answers took."""

    median: float
    p95: float
    calls: int


def measure(runs: Sequence[tuple[Model, Any]], calls: int) -> list[Latency]:
    """Time each model's answer to its payload, one model after the other in every round."""
    for model, payload in runs:
        for _ in range(_WARM_UP):
            predict(model, payload)
    taken: list[list[float]] = [[] for _ in runs]
    begun = perf_counter()
    for done in range(max(calls, _FEWEST)):
        if done >= _FEWEST and perf_counter() - begun > _PATIENCE:
            break
        for (model, payload), seconds in zip(runs, taken, strict=True):
            started = perf_counter()
            predict(model, payload)
            seconds.append(perf_counter() - started)
    return [_latency(seconds) for seconds in taken]


def _latency(seconds: list[float]) -> Latency:
    return Latency(
        median=median(seconds),
        p95=quantiles(seconds, n=20, method="inclusive")[-1],
        calls=len(seconds),
    )
