"""The last line of defence: what a route did not foresee becomes a bare 500 and a log entry."""

import asyncio
from collections.abc import Callable

import sentry_sdk
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.core.errors import ModelUnavailableError
from services.core.logging import get_logger
from services.gateway.errors import error_response

_log = get_logger(__name__)


class CatchErrorsMiddleware:
    """Answers for exceptions that nothing else has handled."""

    def __init__(self, app: ASGIApp, draining: Callable[[], bool]) -> None:
        self.app = app
        self.draining = draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except asyncio.CancelledError:
            # The server cancels what is left when the grace of a shutdown is over.
            if started or not self.draining():
                raise
            error = ModelUnavailableError("The service is shutting down.", retry_after=1)
            await error_response(error, scope)(scope, receive, send)
        except Exception as error:
            _log.exception("unhandled error")
            sentry_sdk.capture_exception(error)
            if started:
                raise
            await error_response(error, scope)(scope, receive, send)
