"""Refuse a body that is too large or too slow while it arrives, not after.

An answer that is given before the whole body is there (it may be endless) closes its connection.
"""

import asyncio
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.core.errors import PayloadTooLargeError, SlipwayError
from services.core.metrics import Metrics
from services.gateway.errors import UploadTimeoutError, error_response

# A caller in the middle of sending may not read its answer before the connection is reset.
# So the rest is thrown away for a moment, by which time the answer has been read.
_LINGER_SECONDS = 1.0
_LINGER_BYTES = 16 * 1024 * 1024


class BodyLimitMiddleware:
    """Bounds the bytes of a request's body, and the time from its first read to its end."""

    def __init__(self, app: ASGIApp, max_bytes: int, timeout: float, metrics: Metrics) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.timeout = timeout
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        body = _Body(receive, send, self.max_bytes, self.timeout)
        declared = headers.get("content-length", "0")
        body.complete = declared == "0" and "transfer-encoding" not in headers
        if declared.isdecimal() and int(declared) > self.max_bytes:
            body.refusal = _too_large(self.max_bytes)
            await error_response(body.refusal, scope)(scope, receive, body.send)
        else:
            await self.app(scope, body.receive, body.send)
        if body.refusal is not None:
            self.metrics.requests_rejected.labels(body.refusal.code).inc()


class _Body:
    """One request's body on its way in, and the end of its connection if it is refused."""

    def __init__(self, receive: Receive, send: Send, max_bytes: int, timeout: float) -> None:
        self.refusal: SlipwayError | None = None
        self.complete = False
        self._receive = receive
        self._send = send
        self._max_bytes = max_bytes
        self._timeout = timeout
        self._deadline: float | None = None
        self._received = 0
        self._closing = False

    async def receive(self) -> Message:
        """Pass on the next piece.

        Raises:
            PayloadTooLargeError: more than the limit has arrived.
            UploadTimeoutError: the body is not complete in time.
        """
        if self.complete:
            return await self._receive()
        now = asyncio.get_running_loop().time()
        self._deadline = self._deadline or now + self._timeout
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError as error:
            self.refusal = UploadTimeoutError(
                "The body did not arrive in time.",
                where="body",
                expected=f"all of it within {self._timeout:g} seconds",
            )
            raise self.refusal from error
        self._received += len(message.get("body", b""))
        self.complete = not message.get("more_body", False)
        if self._received > self._max_bytes:
            self.refusal = _too_large(self._max_bytes)
            raise self.refusal
        return message

    async def send(self, message: Message) -> None:
        """Pass on the answer; if the body is not all there, close the connection behind it."""
        if message["type"] == "http.response.start":
            self._closing = not self.complete or self.refusal is not None
            if self._closing:
                MutableHeaders(scope=message)["Connection"] = "close"
            await self._send(message)
        elif self._closing and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._linger()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await self._send(message)

    async def _linger(self) -> None:
        left, until = _LINGER_BYTES, time.monotonic() + _LINGER_SECONDS
        while left > 0 and (seconds := until - time.monotonic()) > 0:
            try:
                message = await asyncio.wait_for(self._receive(), seconds)
            except TimeoutError:
                return
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                return
            left -= len(message.get("body", b""))


def _too_large(limit: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(
        "The request's body is too large.", where="body", expected=f"at most {limit} bytes"
    )
