"""Counts and times every request by its route template, never by its raw path."""

from starlette.types import Scope

from services.core.metrics import UNMATCHED, Metrics, method_label
from services.core.tally import Count, Observations


class RequestMeters:
    """Feeds `http_requests_total` and `http_request_duration_seconds`."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._known: dict[tuple[str, str, int], tuple[Count, Observations]] = {}

    def observe(self, scope: Scope, status: int, seconds: float) -> None:
        """Count an answered request."""
        requests, duration = self._series(method_label(scope["method"]), _template(scope), status)
        requests.inc()
        duration.observe(seconds)

    def _series(self, method: str, route: str, status: int) -> tuple[Count, Observations]:
        found = self._known.get((method, route, status))
        if found is None:
            metrics = self._metrics
            found = (
                metrics.tallies.counter(metrics.http_requests.labels(method, route, str(status))),
                metrics.tallies.histogram(metrics.http_request_duration.labels(method, route)),
            )
            self._known[method, route, status] = found
        return found


def _template(scope: Scope) -> str:
    """Return the route that the router has written into the scope by now."""
    route = getattr(scope.get("route"), "path", None)
    if isinstance(route, str):
        return route
    # A mounted application leaves its prefix, which is ours and not the caller's.
    prefix = scope.get("root_path", "").removeprefix(scope.get("app_root_path", ""))
    return str(prefix) or UNMATCHED
