"""uvicorn's HTTP parser with two limits it lacks: how large a head may be, and how slow."""

import asyncio
from collections.abc import Sequence
from typing import Any

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from services.gateway.error_shapes import Told, own
from services.gateway.scope import ANSWER, RECEIVED

_MAX_HEAD_BYTES = 64 * 1024
_HEAD_SECONDS = 15.0


class WholeAnswers(RequestResponseCycle):
    """uvicorn's exchange of one request and its answer, with a short way for a whole answer.

    The usual way takes two messages, looks at each header by two regular expressions, and writes
    head and body one after the other: two system calls, and two packets that wake the caller.
    """

    def answer(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        """Send an answer at once; False: nothing was done, send it by messages.

        Args:
            headers: names in small letters; `content-length` is among them.

        Raises:
            RuntimeError: a header holds a line break.
        """
        usual = self.keep_alive and self.scope["method"] != "HEAD"
        if not usual or self.response_started or self.flow.write_paused or self.disconnected:
            return False
        lines = [b"%b: %b\r\n" % header for header in (*self.default_headers, *headers)]
        head = b"".join(lines)
        if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines):
            raise RuntimeError("Invalid HTTP header value.")
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write(b"".join((STATUS_LINE[status], head, b"\r\n", body)))
        self.message_event.set()
        self.on_response()
        return True


class GuardedHttpProtocol(HttpToolsProtocol):
    """Closes a connection whose request head is endless, or does not come."""

    _head_bytes = 0
    _in_head = True
    _head_timer: asyncio.TimerHandle | None = None
    # uvicorn's, with two keys of ours.
    scope: Any
    cycle: Any

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin waiting for the first head."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what arrives while a head is incomplete."""
        if self._in_head:
            self._head_bytes += len(data)
            # A body may follow its head in one read, so the parser judges the first one.
            if self._head_bytes - len(data) > _MAX_HEAD_BYTES:
                self.send_400_response("The request's head is too large.")
                return
        super().data_received(data)
        # Most heads come in one piece, and need no timer.
        if self._in_head and self._head_bytes and self._head_timer is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """The head is there; the body has limits of its own."""
        self._in_head = False
        self._stop_timer()
        super().on_headers_complete()
        # Its task has not begun yet, and finds the exchange as it is then.
        self.cycle.__class__ = WholeAnswers
        self.scope[ANSWER] = self.cycle.answer

    def on_message_complete(self) -> None:
        """The next byte begins another head; whoever reads this body need not wait for it."""
        self._in_head, self._head_bytes = True, 0
        self.scope[RECEIVED] = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer in the shape of all errors, and close."""
        self._stop_timer()
        if self.transport.is_closing():
            return
        body = own(Told(400, "malformed_request", msg, "request", "a request in HTTP/1.1"))
        head = [
            STATUS_LINE[400],
            b"content-type: application/json\r\n",
            b"content-length: %d\r\n" % len(body),
            b"connection: close\r\n\r\n",
        ]
        self.transport.write(b"".join([*head, body]))
        self.transport.close()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(_HEAD_SECONDS, self._head_too_slow)

    def _head_too_slow(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
