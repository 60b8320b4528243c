"""Which versions that should be in memory fail to load, as a metric."""

from services.core.metrics import Metrics
from services.engine.fleet import Fleet

_Version = tuple[str, str]


class Failing:
    """Feeds `model_load_failing`: it is how things stand, not what happened.

    Registered with the tallies, it is asked before each scrape and at least every second where
    processes share their metrics.
    """

    def __init__(self, fleet: Fleet, metrics: Metrics) -> None:
        self._fleet = fleet
        self._metrics = metrics
        self._shown: set[_Version] = set()

    def settle(self) -> None:
        """Bring the metric up to date."""
        with self._fleet.changed:
            found = {
                (host.name, host.failure.ref.version)
                for host in self._fleet.hosts.values()
                if host.failure is not None
            }
            shown, self._shown = self._shown, found
            for version in found - shown:
                self._metrics.model_load_failing.labels(*version).set(1)
            for version in shown - found:
                self._metrics.absent(self._metrics.model_load_failing, *version)
