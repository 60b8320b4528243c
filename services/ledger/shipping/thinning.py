"""Which predictions get a trace, and how fast: stated here once, and in `docs/`.

Each one that failed, that somebody gave feedback on, or that the model was not sure of gets its
trace. Of the rest as many as can be sent within LEDGER_TRACE_LAG seconds at LEDGER_TRACE_RATE a
second: all of them where the backlog is short enough, else an even share by a hash of the id.
"""

import time
from hashlib import blake2b

from services.core.settings import Settings
from services.ledger.records import SUCCEEDED, Record

_RANGE = 2**64
# Tokens may gather while there is nothing to send, or while the server was slow.
_BURST_SECONDS = 5.0


def share(settings: Settings, backlog: int) -> float:
    """Return which part of the ordinary predictions gets a trace, 0 to 1.

    Args:
        backlog: predictions whose trace is neither sent nor left out yet.
    """
    allowed = settings.ledger_trace_rate * settings.ledger_trace_lag
    return 1.0 if backlog <= allowed else allowed / backlog


def must_send(settings: Settings, record: Record, *, feedback: bool) -> bool:
    """Return whether a prediction gets its trace whatever the backlog is."""
    if feedback or record.status != SUCCEEDED:
        return True
    return record.confidence is not None and record.confidence < settings.ledger_low_confidence


def chosen(prediction_id: str, part: float) -> bool:
    """Return whether an ordinary prediction is of the share: always the same for the same two.

    Whatever is of a share is of every larger one too.
    """
    place = int.from_bytes(blake2b(prediction_id.encode(), digest_size=8).digest(), "big")
    return place < part * _RANGE


class Bucket:
    """Tokens for ordinary traces: so many come each second, and some may gather."""

    def __init__(self, rate: float, now: float | None = None) -> None:
        self._rate = rate
        self._tokens = self._most = max(1.0, rate * _BURST_SECONDS)
        self._filled = time.monotonic() if now is None else now

    def available(self, now: float | None = None) -> int:
        """Return how many there are."""
        now = time.monotonic() if now is None else now
        self._tokens = min(self._most, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        return int(self._tokens)

    def take(self, count: int) -> None:
        """Remove some."""
        self._tokens -= count
