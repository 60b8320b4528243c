"""What routes may ask the application for."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from starlette.requests import Request

from services.core.metrics import Metrics
from services.core.settings import Settings
from services.engine.engine import Engine
from services.families.base import Family
from services.gateway.choice import Choice
from services.gateway.ledger_desk import LedgerDesk
from services.gateway.quality_desk import QualityDesk
from services.gateway.registry_desk import RegistryDesk

if TYPE_CHECKING:
    from services.jobs.desk import JobDesk
    from services.jobs.watch import JobWatch


def get_engine(request: Request) -> Engine:
    """The application's engine."""
    return cast(Engine, request.app.state.engine)


def get_settings(request: Request) -> Settings:
    """The settings that the application was made with."""
    return cast(Settings, request.app.state.settings)


def get_metrics(request: Request) -> Metrics:
    """The application's metrics."""
    return cast(Metrics, request.app.state.metrics)


def get_choice(request: Request) -> Choice:
    """Which family a body is for."""
    return cast(Choice, request.app.state.choice)


def get_desk(request: Request) -> RegistryDesk:
    """The registry, as far as the application has one."""
    return cast(RegistryDesk, request.app.state.desk)


def get_ledger(request: Request) -> LedgerDesk:
    """The predictions on record."""
    return cast(LedgerDesk, request.app.state.ledger_desk)


def get_quality(request: Request) -> QualityDesk:
    """How good the versions are by what people say."""
    return cast(QualityDesk, request.app.state.quality)


def get_jobs(request: Request) -> "JobDesk":
    """Where work is handed in that is done later, or by others."""
    return cast("JobDesk", request.app.state.jobs)


def get_job_watch(request: Request) -> "JobWatch | None":
    """What looks at queues and workers; None where no jobs are accepted."""
    return cast("JobWatch | None", request.app.state.job_watch)


def get_families(request: Request) -> Mapping[str, Family]:
    """Every family, by its name."""
    return cast(Mapping[str, Family], request.app.state.families)
