"""What every request passes through, around the framework; `wrap` sets the order."""

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from services.core.metrics import Metrics
from services.core.settings import Settings
from services.engine.engine import Engine
from services.gateway.direct import DirectRoutes
from services.gateway.jobs_asked import BATCH
from services.gateway.middleware.envelope import EnvelopeMiddleware
from services.gateway.middleware.guard import GuardMiddleware
from services.gateway.uploads import FORM_ALLOWANCE


def wrap(app: FastAPI, settings: Settings, metrics: Metrics, engine: Engine) -> ASGIApp:
    """Return the application as it is to be served; its routes must all be there."""
    inner: ASGIApp = GuardMiddleware(
        app,
        max_bytes=settings.max_file_size + FORM_ALLOWANCE,
        timeout=settings.upload_timeout,
        metrics=metrics,
        draining=lambda: engine.draining,
        routes=DirectRoutes(app),
        larger={BATCH: settings.batch_max_bytes + FORM_ALLOWANCE},
    )
    if settings.cors_origins:
        inner = CORSMiddleware(
            inner,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST", "PUT"],
            allow_headers=["X-Request-ID", "Prefer", "Idempotency-Key", "Last-Event-ID"],
            expose_headers=[
                "X-Request-ID",
                "X-Prediction-ID",
                "X-Process-Time",
                "Retry-After",
                "Location",
                "Preference-Applied",
                "Idempotent-Replayed",
            ],
        )
    # Outermost, so that it sees every answer.
    return EnvelopeMiddleware(inner, metrics)
