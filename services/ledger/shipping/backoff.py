"""How long to wait between tries of something that fails."""

import random

_FIRST_SECONDS, _LONGEST_SECONDS = 1.0, 60.0


class Backoff:
    """Doubles the wait with each failure, up to a limit; chance keeps several from keeping step."""

    def __init__(self, first: float = _FIRST_SECONDS, longest: float = _LONGEST_SECONDS) -> None:
        self._first = first
        self._longest = longest
        self._last = 0.0

    def next(self) -> float:
        """Note a failure; return the seconds until the next try: half of the full wait to all."""
        self._last = min(self._longest, 2 * self._last or self._first)
        return self._last * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Note a success."""
        self._last = 0.0
