"""What happened lately: rates and latency of the last minute, out of counters that only grow."""

from typing import Any

from services.monitoring.distribution import Distribution, merged
from services.monitoring.recent import Recent
from services.monitoring.series import Series
from services.monitoring.summary import spread

_DURATION = "http_request_duration_seconds"


class Rates:
    """Remembers what was asked before; the totals may be those of several processes."""

    def __init__(self) -> None:
        self._recent: Recent[tuple[str, Any]] = Recent()

    def look(self, now: float, series: Series) -> dict[str, Any] | None:
        """Return JSON values, `seconds` among them: how long ago that was; None the first time.

        Args:
            now: a reading of a clock that never goes back.
        """
        latency = merged(series.distributions(_DURATION).values())
        totals = {
            "requests_per_second": series.value("http_requests_total") or 0.0,
            "server_errors_per_second": sum(
                series.by(
                    "http_requests_total",
                    "status",
                    where=lambda labels: labels["status"].startswith("5"),
                ).values()
            ),
            "predictions_per_second": series.value("predictions_total") or 0.0,
            "prediction_errors_per_second": series.value("prediction_errors_total") or 0.0,
            "jobs_per_second": series.value("jobs_total") or 0.0,
        }
        models = series.by("predictions_total", "model", "version")
        failed = series.by(
            "predictions_total",
            "model",
            "version",
            where=lambda labels: labels["status"] != "success",
        )
        parts: dict[str, dict[Any, float]] = {
            "totals": dict(totals),
            "models": dict(models),
            "failed": dict(failed),
            "buckets": dict(latency.buckets),
            "sums": {"count": latency.count, "total": latency.total},
        }
        flat = {(part, key): value for part, found in parts.items() for key, value in found.items()}
        found = self._recent.rates(now, flat)
        if found is None:
            return None
        seconds, rates = found
        return {
            "seconds": seconds,
            **{name: rates["totals", name] for name in totals},
            "latency": spread(_since(latency, seconds, rates)),
            "models": [
                {
                    "model": key[0],
                    "version": key[1],
                    "predictions_per_second": rates["models", key],
                    "failures_per_second": rates.get(("failed", key), 0.0),
                }
                for key in sorted(models)
            ],
        }


def _since(
    latency: Distribution, seconds: float, rates: "dict[tuple[str, Any], float]"
) -> Distribution:
    return Distribution(
        round(rates["sums", "count"] * seconds),
        rates["sums", "total"] * seconds,
        tuple((bound, rates["buckets", bound] * seconds) for bound, _ in latency.buckets),
    )
