"""What routes may ask the application for."""

from typing import cast

from starlette.requests import Request

from services.core.metrics import Metrics
from services.core.settings import Settings
from services.engine.engine import Engine


def get_engine(request: Request) -> Engine:
    """The application's engine."""
    return cast(Engine, request.app.state.engine)


def get_settings(request: Request) -> Settings:
    """The settings that the application was made with."""
    return cast(Settings, request.app.state.settings)


def get_metrics(request: Request) -> Metrics:
    """The application's metrics."""
    return cast(Metrics, request.app.state.metrics)
