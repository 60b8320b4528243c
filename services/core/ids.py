"""Identifiers of requests and predictions."""

import os
import re
import threading
import time

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:\-]{1,128}")
_BLOCK = 256


class _Source(threading.local):
    """Makes the random part of many ids at once: the system's generator is a system call away."""

    def __init__(self) -> None:
        self.tails: list[str] = []
        self.milliseconds = 0
        self.head = ""

    def fill(self) -> None:
        """Make more: version 7, variant 2, and 74 random bits of the 80 that each begins with."""
        digits = os.urandom(10 * _BLOCK).hex()
        for start in range(0, len(digits), 20):
            random = digits[start : start + 20]
            variant = "89ab"[int(random[3], 16) & 3]
            self.tails.append(f"-7{random[:3]}-{variant}{random[4:7]}-{random[7:19]}")


_source = _Source()
# A child process would give out its parent's.
os.register_at_fork(after_in_child=lambda: _source.tails.clear())


def new_id() -> str:
    """Return a UUID of version 7 (RFC 9562): unique, and sortable by its time of birth."""
    source = _source
    milliseconds = time.time_ns() // 1_000_000
    if milliseconds != source.milliseconds:
        digits = f"{milliseconds:012x}"
        source.milliseconds, source.head = milliseconds, f"{digits[:8]}-{digits[8:]}"
    if not source.tails:
        source.fill()
    return source.head + source.tails.pop()


def request_id(inbound: str | None) -> str:
    """Return the caller's request id if it is harmless, else a new one.

    At most 128 letters, digits and `._:-` pass: the id is written into headers and logs.
    """
    if inbound is not None and _REQUEST_ID.fullmatch(inbound):
        return inbound
    return new_id()
