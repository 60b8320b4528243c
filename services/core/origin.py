"""Where a request came from: set by the door it came through, read by whoever writes it down."""

from contextvars import ContextVar

# Sent back to the caller, and in every line of the log.
REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
# Who asks, where that was shown; never what a caller merely says of itself.
CALLER: ContextVar[str | None] = ContextVar("caller", default=None)
