"""uvicorn's HTTP parser with two limits it lacks: how large a head may be, and how slow."""

import asyncio

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from services.gateway.error_shapes import Told, own

_MAX_HEAD_BYTES = 64 * 1024
_HEAD_SECONDS = 15.0


class GuardedHttpProtocol(HttpToolsProtocol):
    """Closes a connection whose request head is endless, or does not come."""

    _head_bytes = 0
    _in_head = True
    _head_timer: asyncio.TimerHandle | None = None

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
            if self._head_timer is None:
                self._await_head()
        super().data_received(data)

    def on_headers_complete(self) -> None:
        """The head is there; the body has limits of its own."""
        self._in_head = False
        self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next byte begins another head."""
        self._in_head, self._head_bytes = True, 0
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
