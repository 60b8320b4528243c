"""Drift as metrics: what the last looks found, read from the database when somebody asks."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from services.core.metering.definition import Definition
from services.core.settings import Settings
from services.ledger.glimpse import Glimpse

if TYPE_CHECKING:
    from services.ledger.database.drift import State
    from services.ledger.database.statements import Connection

# Series of a model: those that are always there, and the features that have drifted most.
MOST_FEATURES = 50
OVERALL, ALWAYS = "_overall", ("_prediction", "_confidence")
_DRIFT, _NO_BASELINE, _NOT_ENOUGH = "drift", "no_baseline", "not_enough_data"
_PRODUCTION = "production"
_SOURCE = "upkeep, every DRIFT_EVERY seconds; read from the ledger's database at each scrape"
_VERSION = ("model", "version")

SCORE = Definition(
    "prediction_drift_score",
    "gauge",
    "How far the newest predictions of the version in production are from its baseline, at most "
    f"{MOST_FEATURES} features of a model, the highest; 1 is where the alarm is.",
    ("model", "feature"),
    source=_SOURCE,
    unit="share of the threshold",
)
DETECTED = Definition(
    "prediction_drift_detected",
    "gauge",
    "1 while the newest predictions are unlike the baseline.",
    _VERSION,
    source=_SOURCE,
    unit="0 or 1",
)
SAMPLES = Definition(
    "prediction_drift_window_samples",
    "gauge",
    "Rows of predictions that the last look at drift compared.",
    _VERSION,
    source=_SOURCE,
    unit="rows",
)
MISSING = Definition(
    "prediction_drift_samples_missing",
    "gauge",
    "Rows of predictions that a verdict on drift still needs.",
    _VERSION,
    source=_SOURCE,
    unit="rows",
)
CHECKED = Definition(
    "prediction_drift_checked_timestamp_seconds",
    "gauge",
    "When drift was last looked at.",
    _VERSION,
    source=_SOURCE,
    unit="seconds since 1970",
)
DEFINITIONS = (SCORE, DETECTED, SAMPLES, MISSING, CHECKED)


class DriftCollector(Collector):
    """Metrics of drift, for a registry of `prometheus_client`; waits for nothing."""

    def __init__(self, settings: Settings) -> None:
        self._glimpse: Glimpse[tuple[State, ...]] = Glimpse(settings, _read, ())

    def describe(self) -> list[Metric]:
        """Return nothing: the names are not looked at when it is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the versions that are looked at, as of the last seconds."""
        states = [one for one in self._glimpse.look() if one.stage is not None]
        yield SCORE.family(
            ((state.model, feature), score)
            for state in states
            if state.stage == _PRODUCTION
            for feature, score in scores(state.report).items()
        )
        compared = [state for state in states if state.verdict != _NO_BASELINE]
        parts: tuple[tuple[Definition, Callable[[State], float]], ...] = (
            (DETECTED, lambda state: float(state.verdict == _DRIFT)),
            (SAMPLES, lambda state: state.samples),
            (MISSING, lambda state: state.missing),
            (CHECKED, lambda state: state.checked / 1e6),
        )
        for definition, value in parts:
            yield definition.family(
                ((state.model, state.version), value(state)) for state in compared
            )

    def close(self) -> None:
        """Look no more."""
        self._glimpse.close()


def scores(report: Any) -> dict[str, float]:
    """Return the scores of a report by feature, at most `MOST_FEATURES`; none without a verdict."""
    found = report.get("drift") if isinstance(report, Mapping) else None
    if not isinstance(found, Mapping) or found["verdict"] == _NOT_ENOUGH:
        return {}
    every = {one["feature"]: float(one["score"]) for one in found["features"]}
    kept = {OVERALL: float(found["score"])}
    kept |= {name: every[name] for name in ALWAYS if name in every}
    # They come with the highest score first.
    for name, score in every.items():
        if len(kept) >= MOST_FEATURES:
            break
        kept.setdefault(name, score)
    return kept


def _read(connection: "Connection") -> "tuple[State, ...]":
    from services.ledger.database import drift

    return tuple(drift.states(connection))
