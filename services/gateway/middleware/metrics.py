"""Counts and times every request by its route template, never by its raw path."""

import time

from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.core.metrics import UNMATCHED, Metrics, method_label


class MetricsMiddleware:
    """Feeds `http_requests_total`, `http_request_duration_seconds` and `active_connections`."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        # What uvicorn answers when the application ends without a word.
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        method = method_label(scope["method"])
        try:
            with self.metrics.active_connections.track_inprogress():
                await self.app(scope, receive, watched)
        finally:
            requests, duration = self._series(method, _template(scope), status)
            requests.inc()
            duration.observe(time.perf_counter() - started)

    def _series(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        """Return the two series; looked up in the library once each, for it takes a lock."""
        found = self._known.get((method, route, status))
        if found is None:
            found = (
                self.metrics.http_requests.labels(method, route, str(status)),
                self.metrics.http_request_duration.labels(method, route),
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
