"""How often something happened lately, from counters that only know the total."""

from collections import deque
from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)

# A snapshot is taken when somebody asks, though no more often than that (seconds).
_APART = 5.0
_WINDOW = 60.0


class Recent(Generic[Name]):
    """Remembers totals of the last minute; the rate is since the one that is nearest to it in age.

    Nothing is measured by itself: who asks for the first time gets no rate, and who asks again
    after ten minutes gets one over ten minutes.
    """

    def __init__(self, window: float = _WINDOW, apart: float = _APART) -> None:
        self._window = window
        self._apart = apart
        self._snapshots: deque[tuple[float, dict[Name, float]]] = deque()

    def rates(
        self, now: float, totals: Mapping[Name, float]
    ) -> tuple[float, dict[Name, float]] | None:
        """Return over how many seconds, and how many a second of each; None at the first time.

        Args:
            now: a reading of a clock that never goes back.
            totals: counters, by any name.
        """
        held = self._snapshots
        # One that is at least as old as the window stays.
        while len(held) > 1 and held[1][0] <= now - self._window:
            held.popleft()
        then, before = min(
            held, key=lambda one: abs(now - one[0] - self._window), default=(now, {})
        )
        found = None
        if now > then:
            seconds = now - then
            found = (
                seconds,
                {name: (total - before.get(name, 0.0)) / seconds for name, total in totals.items()},
            )
        if not held or now - held[-1][0] >= self._apart:
            held.append((now, dict(totals)))
        return found
