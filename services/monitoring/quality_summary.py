"""Live quality for people, out of the metrics."""

from typing import Any

from services.monitoring import quality_metrics as metrics
from services.monitoring.series import Series

_VERSION = ("model", "version")


def quality(series: Series) -> list[dict[str, Any]]:
    """Return what is known of each version that somebody said something about.

    JSON values: `model`, `version`, `samples`, `metrics`, `reference`, `feedback` (by kind),
    `uncounted` (by reason). Metrics are empty without samples; `uncounted` may say why.
    """
    found = series.by(metrics.QUALITY.name, *_VERSION, "metric")
    reference = series.by(metrics.REFERENCE.name, *_VERSION, "metric")
    feedback = series.by(metrics.FEEDBACK.name, *_VERSION, "kind")
    uncounted = series.by(metrics.UNCOUNTED.name, *_VERSION, "reason")
    samples = series.by(metrics.SAMPLES.name, *_VERSION)
    versions = sorted({key[:2] for key in (*feedback, *samples)})
    return [
        {
            "model": model,
            "version": version,
            "samples": int(samples.get((model, version), 0)),
            "metrics": _of(found, model, version),
            "reference": _of(reference, model, version),
            "feedback": _counts(feedback, model, version),
            "uncounted": _counts(uncounted, model, version),
        }
        for model, version in versions
    ]


def _of(values: dict[tuple[str, ...], float], model: str, version: str) -> dict[str, float]:
    return {key[2]: value for key, value in sorted(values.items()) if key[:2] == (model, version)}


def _counts(values: dict[tuple[str, ...], float], model: str, version: str) -> dict[str, int]:
    return {name: int(value) for name, value in _of(values, model, version).items()}
