"""The metrics for people: `GET /metrics/summary`."""

import asyncio
import time
from datetime import UTC, datetime

from fastapi import APIRouter, FastAPI, Request

from services import __version__
from services.gateway.dependencies import get_metrics
from services.gateway.schemas_summary import MetricsSummary
from services.monitoring.rates import Rates
from services.monitoring.series import Series
from services.monitoring.summary import started, summary

router = APIRouter(tags=["status"])


@router.get("/metrics/summary", summary="The metrics in a few numbers")
async def metrics_summary(request: Request) -> MetricsSummary:
    """Requests by route, predictions by model and version, rates, queues, quality and memory.

    All of it is read from the metrics that `GET /metrics` shows.
    """
    registry = get_metrics(request).registry
    series = await asyncio.to_thread(lambda: Series(registry.collect()))
    now, began = time.time(), started(series)
    recent = request.app.state.rates.look(time.monotonic(), series)
    return MetricsSummary(
        version=__version__,
        timestamp=_time(now),
        started=None if began is None else _time(began),
        uptime_seconds=None if began is None else now - began,
        recent=recent,
        **summary(series),
    )


def install(app: FastAPI) -> None:
    """Add the route, and what it remembers between two calls."""
    app.state.rates = Rates()
    app.include_router(router)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
