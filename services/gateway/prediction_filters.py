"""What `GET /predictions` is asked for: times, and where a page begins."""

import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.core.errors import InvalidInputError
from services.core.received import describe

_AGE = re.compile(r"(\d{1,9})(s|m|min|h|d)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_MICRO = 1_000_000
# The last moment that has a name; the first one is 1970.
_LATEST = 253_402_300_799_999_999
_TIME = "a time in ISO 8601, such as 2026-11-21T10:00:00Z, or an age: 30s, 15m, 2h, 7d"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Time in microseconds since 1970, and id: of the last prediction of a page.
Cursor = tuple[int, str]


def moment(text: str | None, where: str) -> int | None:
    """Return a time or an age as microseconds since 1970. A time without a zone is in UTC.

    Raises:
        InvalidInputError: it is neither.
    """
    if text is None:
        return None
    age = _AGE.fullmatch(text.strip())
    if age is not None:
        return _bounded(time.time_ns() // 1000 - int(age[1]) * _SECONDS[age[2]] * _MICRO)
    # A plus sign in a query that nobody encoded arrives as a space.
    written = text.strip().replace(" ", "+") if "T" in text else text.strip()
    try:
        found = datetime.fromisoformat(written)
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        return _bounded((found - _EPOCH) // timedelta(microseconds=1))
    except (ValueError, OverflowError):
        raise InvalidInputError(
            f"The value of {where} is no time.",
            where=where,
            expected=_TIME,
            received=describe(text),
        ) from None


def _bounded(microseconds: int) -> int:
    return min(max(0, microseconds), _LATEST)


def iso(microseconds: int) -> str:
    """Return a time such that `moment` reads it as the same."""
    whole, rest = divmod(microseconds, _MICRO)
    return datetime.fromtimestamp(whole, UTC).replace(microsecond=rest).isoformat()


def cursor(text: str | None) -> Cursor | None:
    """Return where a page begins.

    Raises:
        InvalidInputError: it is not what `token` made.
    """
    if text is None:
        return None
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        at, _, name = urlsafe_b64decode(padded).decode("ascii").partition(":")
        found = int(at, 16), str(UUID(name))
        if not 0 <= found[0] <= _LATEST or token(found) != text:
            raise ValueError
    except ValueError:
        raise InvalidInputError(
            "The value of after begins no page.",
            where="after",
            expected="that of an answer's `next`, unchanged",
            received=describe(text),
        ) from None
    return found


def token(position: Cursor) -> str:
    """Return an opaque word for where a page ends."""
    return urlsafe_b64encode(f"{position[0]:x}:{position[1]}".encode()).rstrip(b"=").decode()
