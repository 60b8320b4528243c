"""What every request passes through, one class per file; `install_middleware` sets the order."""

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from services.core.metrics import Metrics
from services.core.settings import Settings
from services.engine.engine import Engine
from services.gateway.middleware.access_log import AccessLogMiddleware
from services.gateway.middleware.body_limit import BodyLimitMiddleware
from services.gateway.middleware.catch_errors import CatchErrorsMiddleware
from services.gateway.middleware.head import HeadMiddleware
from services.gateway.middleware.metrics import MetricsMiddleware
from services.gateway.middleware.process_time import ProcessTimeMiddleware
from services.gateway.middleware.request_id import RequestIdMiddleware
from services.gateway.middleware.security_headers import SecurityHeadersMiddleware
from services.gateway.uploads import FORM_ALLOWANCE


def install_middleware(app: FastAPI, settings: Settings, metrics: Metrics, engine: Engine) -> None:
    """Wrap the application. The first here is the outermost, and sees every answer."""
    # The id comes first: all that follows writes it into logs and errors.
    outermost_first = [
        (RequestIdMiddleware, {}),
        (AccessLogMiddleware, {}),
        (MetricsMiddleware, {"metrics": metrics}),
        (ProcessTimeMiddleware, {}),
        (SecurityHeadersMiddleware, {}),
        *_cors(settings),
        # Refuses a body before anything inside has seen it; its answer needs the headers above.
        (
            BodyLimitMiddleware,
            {
                "max_bytes": settings.max_file_size + FORM_ALLOWANCE,
                "timeout": settings.upload_timeout,
                "metrics": metrics,
            },
        ),
        (HeadMiddleware, {}),
        # Innermost: whatever breaks in a route becomes an answer that the others treat as any.
        (CatchErrorsMiddleware, {"draining": lambda: engine.draining}),
    ]
    for middleware, options in reversed(outermost_first):
        app.add_middleware(middleware, **options)  # type: ignore[arg-type]


def _cors(settings: Settings) -> list[tuple[type, dict[str, object]]]:
    if not settings.cors_origins:
        return []
    options: dict[str, object] = {
        "allow_origins": list(settings.cors_origins),
        "allow_methods": ["GET", "POST"],
        "allow_headers": ["X-Request-ID"],
        "expose_headers": ["X-Request-ID", "X-Prediction-ID", "X-Process-Time", "Retry-After"],
    }
    return [(CORSMiddleware, options)]
