"""Refuse a body that is too large or too slow while it arrives, not after.

An answer that is given before the whole body is there (it may be endless) closes its connection.
"""

import asyncio
import time

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Receive, Scope, Send

from services.core.errors import PayloadTooLargeError, SlipwayError
from services.core.received import counted
from services.gateway.errors import UploadTimeoutError
from services.gateway.scope import RECEIVED, header

# A caller in the middle of sending may not read its answer before the connection is reset.
# So the rest is thrown away for a moment, by which time the answer has been read.
_LINGER_SECONDS = 1.0
_LINGER_BYTES = 16 * 1024 * 1024


class Body:
    """One request's body on its way in, and the end of its connection if it is refused."""

    __slots__ = (
        "_closing", "_deadline", "_max_bytes", "_receive", "_received", "_scope", "_send",
        "_timeout", "complete", "refusal",
    )  # fmt: skip

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, max_bytes: int, timeout: float
    ) -> None:
        # Set once a body is refused.
        self.refusal: SlipwayError | None = None
        self.complete = (
            header(scope, b"content-length") in (None, "0")
            and header(scope, b"transfer-encoding") is None
        )
        self._scope = scope
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
        if RECEIVED in self._scope:
            # All of it is here, and comes in one piece: there is nothing to wait for.
            return self._taken(await self._receive())
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
                received=counted(self._received, "byte"),
            )
            raise self.refusal from error
        return self._taken(message)

    def _taken(self, message: Message) -> Message:
        self._received += len(message.get("body", b""))
        self.complete = not message.get("more_body", False)
        if self._received > self._max_bytes:
            self.refusal = too_large(self._max_bytes)
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


def too_large(limit: int) -> PayloadTooLargeError:
    """Return the error for a body of more bytes than the limit."""
    return PayloadTooLargeError(
        "The request's body is too large.",
        where="body",
        expected=f"at most {limit} bytes",
        received="more than that",
    )
