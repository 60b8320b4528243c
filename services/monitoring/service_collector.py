"""The parts that Slipway needs, healthy or not: read when somebody asks."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from services.core.metering.definition import Definition
from services.jobs.health import HEALTHY, UNKNOWN, judge
from services.jobs.watch import JobWatch

_UNDECIDED = (None, UNKNOWN, "starting")
UP = Definition(
    "service_up",
    "gauge",
    "1 while a part of the system is healthy: mlflow, redis, database, workers, beat.",
    ("service",),
    "what GET /health says, at each scrape of a gateway; not there while nothing is known",
    "0 or 1",
)
DEFINITIONS = (UP,)


class ServiceCollector(Collector):
    """`service_up`, for a registry of `prometheus_client`; waits for nothing.

    Args:
        watch: knows the parts that jobs need; None where no jobs are accepted.
        mlflow: says how MLflow's registry is seen from here; None: it is not followed.
    """

    def __init__(self, watch: JobWatch | None, mlflow: Callable[[], str | None]) -> None:
        self._watch = watch
        self._mlflow = mlflow

    def describe(self) -> list[Metric]:
        """Return nothing: the names are not looked at when it is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the metric as of the last seconds."""
        found: Mapping[str, str | None] = {"mlflow": self._mlflow()}
        if self._watch is not None:
            known = judge(self._watch.look()).services
            # Upkeep looks at MLflow too; whoever follows it knows sooner.
            found = {**known, **{name: said for name, said in found.items() if said is not None}}
        yield UP.family(
            ((name,), float(status == HEALTHY))
            for name, status in sorted(found.items())
            if status not in _UNDECIDED
        )
