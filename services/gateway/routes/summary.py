"""The metrics for people: `GET /metrics/summary`."""

import time
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, FastAPI, Request

from services import __version__
from services.gateway.dependencies import get_metrics
from services.gateway.schemas_summary import MetricsSummary, RecentRates
from services.monitoring.recent import Recent
from services.monitoring.summary import started, summary

router = APIRouter(tags=["status"])


@router.get("/metrics/summary", summary="The metrics in a few numbers")
async def metrics_summary(request: Request) -> MetricsSummary:
    """Requests by route, predictions by model and version, cache, rejections and memory.

    All of it is read from the metrics that `GET /metrics` shows.
    """
    families = list(get_metrics(request).registry.collect())
    found = summary(families)
    now, began = time.time(), started(families)
    return MetricsSummary(
        version=__version__,
        timestamp=_time(now),
        started=None if began is None else _time(began),
        uptime_seconds=None if began is None else now - began,
        recent=_recent(request.app.state.recent, found),
        **found,
    )


def install(app: FastAPI) -> None:
    """Add the route, and what it remembers between two calls."""
    app.state.recent = Recent()
    app.include_router(router)


def _recent(remembered: Recent, found: dict[str, Any]) -> RecentRates | None:
    totals = {
        "requests_per_second": found["requests"]["count"],
        "server_errors_per_second": found["requests"]["server_errors"],
        "predictions_per_second": found["predictions"]["count"],
    }
    rates = remembered.rates(time.monotonic(), totals)
    return None if rates is None else RecentRates(seconds=rates[0], **rates[1])


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
