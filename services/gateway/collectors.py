"""What the gateway exposes beside what processes keep themselves: asked at each scrape."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry

from services.core.metering.machine_collector import MachineCollector
from services.core.settings import Settings
from services.jobs.collector import JobCollector
from services.jobs.watch import JobWatch
from services.ledger.collector import LedgerCollector
from services.monitoring.drift_collector import DriftCollector
from services.monitoring.service_collector import ServiceCollector


class Collectors:
    """All of them, registered; those of live quality come with its routes.

    Args:
        watch: looks at jobs; None where none are accepted.
        mlflow: says how MLflow's registry is seen from here; None: it is not followed.
    """

    def __init__(
        self,
        settings: Settings,
        registry: CollectorRegistry,
        watch: JobWatch | None,
        mlflow: Callable[[], str | None],
    ) -> None:
        self._drift: DriftCollector | None = None
        registry.register(MachineCollector(settings))
        registry.register(ServiceCollector(watch, mlflow))
        if watch is not None:
            registry.register(JobCollector(watch))
        if settings.ledger:
            registry.register(LedgerCollector(settings))
            self._drift = DriftCollector(settings)
            registry.register(self._drift)

    def close(self) -> None:
        """Look no more."""
        if self._drift is not None:
            self._drift.close()
