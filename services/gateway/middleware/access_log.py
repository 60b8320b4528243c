"""One log line per request, written when its answer has been sent."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.core.logging import get_logger

_log = get_logger("slipway.access")
_MAX_PATH = 200
# Asked every few seconds by machines; their failures are still worth a line.
_QUIET = frozenset({"/health/live", "/health/ready", "/metrics"})
_OK = 200


class AccessLogMiddleware:
    """Logs method, path, status, duration and size; neither query nor headers nor bodies."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status, size = 0, 0

        async def watched(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
            size += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            client = scope.get("client")
            write = _log.debug if scope["path"] in _QUIET and status == _OK else _log.info
            write(
                "request",
                method=scope["method"][:20],
                path=scope["path"][:_MAX_PATH],
                status=status,
                duration_ms=round((time.perf_counter() - started) * 1000, 2),
                response_bytes=size,
                client=client[0] if client else None,
            )
