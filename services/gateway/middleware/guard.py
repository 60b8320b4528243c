"""The inner layer: bounded bodies, HEAD, the short way to routes, the last line of defence."""

import asyncio
from collections.abc import Callable, Mapping

import sentry_sdk
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.core.errors import ModelUnavailableError, SlipwayError
from services.core.logging import get_logger
from services.core.metrics import Metrics
from services.gateway.direct import DirectRoutes
from services.gateway.errors import error_response
from services.gateway.middleware.body_limit import Body, too_large
from services.gateway.scope import RECEIVED, header, is_answered, is_answering

_log = get_logger(__name__)


class GuardMiddleware:
    """Lets in what is within the limits, and answers for whatever breaks further in.

    Args:
        max_bytes: of a request's body.
        timeout: seconds from the first read of a body to its end.
        larger: paths whose bodies may have more bytes, and so many; they have more time as well.
        draining: whether the service is shutting down.
        routes: those that need nothing of the framework's machinery.
    """

    def __init__(
        self,
        app: ASGIApp,
        max_bytes: int,
        timeout: float,
        metrics: Metrics,
        draining: Callable[[], bool],
        routes: DirectRoutes,
        larger: Mapping[str, int],
    ) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.timeout = timeout
        self.metrics = metrics
        self.draining = draining
        self.routes = routes
        self.larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = header(scope, b"content-length")
        most = self.larger.get(scope["path"], self.max_bytes)
        if declared is not None and declared.isdecimal() and int(declared) > most:
            await self._refuse(scope, receive, send, most)
        elif declared is not None and RECEIVED in scope:
            # All of it is here: nothing is left to guard.
            await self._answer(scope, receive, send)
        else:
            # At the same speed as any other.
            timeout = self.timeout * max(1.0, most / self.max_bytes)
            body = Body(scope, receive, send, most, timeout)
            await self._answer(scope, body.receive, body.send)
            self._count(body.refusal)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, most: int) -> None:
        body = Body(scope, receive, send, most, self.timeout)
        body.refusal = too_large(most)
        await error_response(body.refusal, scope)(scope, receive, body.send)
        self._count(body.refusal)

    def _count(self, refusal: SlipwayError | None) -> None:
        if refusal is not None:
            self.metrics.requests_rejected.labels(refusal.code).inc()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "HEAD":
            await self._run(scope, receive, send)
            return
        # As to GET, without the body. A copy: the server frames its answer by its own scope.
        inner = dict(scope, method="GET")

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        try:
            await self._run(inner, receive, without_body)
        finally:
            if "route" in inner:
                scope["route"] = inner["route"]

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await (self.routes.find(scope) or self.app)(scope, receive, send)
        except asyncio.CancelledError:
            # The server cancels what is left when the grace of a shutdown is over.
            if is_answering(scope) or not self.draining():
                raise
            error = ModelUnavailableError("The service is shutting down.", retry_after=1)
            await error_response(error, scope)(scope, receive, send)
        except SlipwayError as error:
            await error_response(error, scope)(scope, receive, send)
        except Exception as error:
            _log.exception("unhandled error")
            sentry_sdk.capture_exception(error)
            # The framework has answered already for what broke in one of its routes.
            if is_answered(scope):
                return
            if is_answering(scope):
                raise
            await error_response(error, scope)(scope, receive, send)
