"""X-Process-Time: seconds from the request's head to the head of its answer."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class ProcessTimeMiddleware:
    """Adds X-Process-Time to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()

        async def timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                elapsed = time.perf_counter() - started
                message["headers"] = [*message["headers"], (b"x-process-time", b"%.6f" % elapsed)]
            await send(message)

        await self.app(scope, receive, timed)
