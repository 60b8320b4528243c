"""Headers that keep a browser from guessing, framing and running what it should not."""

from collections.abc import Iterable
from functools import lru_cache

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    # For answers that are data; a page brings its own policy.
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_NO_STORE = (b"cache-control", b"no-store")


def missing_headers(headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers that an answer with these should carry, and does not."""
    return _missing(tuple([name for name, _ in headers]))


@lru_cache(maxsize=256)
def _missing(names: tuple[bytes, ...]) -> tuple[tuple[bytes, bytes], ...]:
    present = {name.lower() for name in names}
    found = tuple(header for header in _HEADERS if header[0] not in present)
    # A file with a validator may be kept; an answer may not.
    if b"etag" in present or b"cache-control" in present:
        return found
    return (*found, _NO_STORE)
