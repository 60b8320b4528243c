"""What every request and every answer carries: id, time, protective headers, metrics, a log line.

One class rather than five, for each wrapping of an answer costs as much as a small model.
"""

import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from services.core.ids import request_id
from services.core.metrics import Metrics
from services.core.origin import REQUEST_ID
from services.gateway.middleware.access_log import log_request
from services.gateway.middleware.metrics import RequestMeters
from services.gateway.middleware.security_headers import missing_headers
from services.gateway.scope import ANSWER, ANSWERING, header

Answer = Callable[[int, list[tuple[bytes, bytes]], bytes], bool]

# What uvicorn answers when the application ends without a word.
_NO_ANSWER = 500


class EnvelopeMiddleware:
    """The outermost layer; it sees every answer.

    X-Request-ID is taken from the caller if harmless, sent back, bound to every log line, and
    lies at `scope["state"]["request_id"]`. X-Process-Time has the seconds from the request's head
    to the head of its answer.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self._active = metrics.active_connections
        self._meters = RequestMeters(metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        envelope = _Envelope(scope, send)
        # Not unbound again: each request is a task with a context of its own.
        bind_contextvars(request_id=envelope.id)
        REQUEST_ID.set(envelope.id)
        self._active.inc()
        try:
            await self.app(scope, receive, envelope.send)
        finally:
            self._active.dec()
            seconds = time.perf_counter() - envelope.started
            self._meters.observe(scope, envelope.status, seconds)
            log_request(scope, envelope.id, envelope.status, seconds, envelope.size)


class _Envelope:
    """One request on its way through."""

    __slots__ = ("_answer", "_held", "_send", "_state", "id", "size", "started", "status")

    def __init__(self, scope: Scope, send: Send) -> None:
        self.started = time.perf_counter()
        self.id = request_id(header(scope, b"x-request-id"))
        self._state = scope.setdefault("state", {})
        self._state["request_id"] = self.id
        self.status = _NO_ANSWER
        self.size = 0
        self._send = send
        # Where the server takes a whole answer, its head waits for its body.
        self._answer: Answer | None = scope.get(ANSWER)
        self._held: Message | None = None

    async def send(self, message: Message) -> None:
        """Pass on the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", ()))
            headers += missing_headers(headers)
            headers.append((b"x-request-id", self.id.encode("ascii")))
            headers.append((b"x-process-time", b"%.6f" % (time.perf_counter() - self.started)))
            message["headers"] = headers
            self._state[ANSWERING] = False
            if self._answer is not None and _length(headers) is not None:
                self._held = message
                return
        elif message["type"] == "http.response.body":
            body = message.get("body", b"")
            self.size += len(body)
            self._state[ANSWERING] = not message.get("more_body", False)
            if self._held is not None:
                start, self._held = self._held, None
                if self._at_once(start, body, message):
                    return
                await self._send(start)
        await self._send(message)

    def _at_once(self, start: Message, body: bytes, message: Message) -> bool:
        """Send head and body together, if the body is whole; return whether that was done."""
        headers = start["headers"]
        if message.get("more_body", False) or _length(headers) != len(body):
            return False
        return self._answer is not None and self._answer(start["status"], headers, body)


def _length(headers: list[tuple[bytes, bytes]]) -> int | None:
    """Return the length that a head gives for its body; None if its connection ends with it."""
    told = dict(headers)
    length = told.get(b"content-length")
    return None if length is None or b"connection" in told else int(length)
