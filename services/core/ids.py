"""Identifiers of requests and predictions."""

import re
import secrets
import time
import uuid

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:\-]{1,128}")


def new_id() -> str:
    """Return a UUID of version 7 (RFC 9562): unique, and sortable by its time of birth."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def request_id(inbound: str | None) -> str:
    """Return the caller's request id if it is harmless, else a new one.

    At most 128 letters, digits and `._:-` pass: the id is written into headers and logs.
    """
    if inbound is not None and _REQUEST_ID.fullmatch(inbound):
        return inbound
    return new_id()
