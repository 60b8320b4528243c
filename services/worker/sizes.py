"""How many predictions a child takes at once: as many as it makes in a quarter of a second."""

from collections import OrderedDict
from dataclasses import dataclass

# What is taken together ends together: nobody's answer shall wait longer for the others' than this.
_TARGET_SECONDS = 0.25
_MOST = 64
# Weight of the newest measurement.
_NEWEST = 0.3
# Models that are remembered; names of versions come from outside.
_KNOWN = 256

Key = tuple[str, str | None, str | None]


@dataclass(slots=True)
class _Pace:
    seconds: float
    most: int


class Sizes:
    """Learns from every take of a model what the next may be. Used by one thread."""

    def __init__(self) -> None:
        self._paces: OrderedDict[Key, _Pace] = OrderedDict()

    def size(self, model: Key) -> int:
        """Return how many to take; 1 until one has been made here."""
        pace = self._paces.get(model)
        if pace is None:
            return 1
        return max(1, min(pace.most, int(_TARGET_SECONDS / max(pace.seconds, 1e-6))))

    def learn(self, model: Key, made: int, seconds: float) -> None:
        """Note that so many predictions took so long; the next take is at most twice as large."""
        each = seconds / made
        pace = self._paces.pop(model, None)
        if pace is None:
            pace = _Pace(each, 2)
        else:
            # What is slower is believed at once, what is quicker by and by.
            pace.seconds = max(each, pace.seconds + _NEWEST * (each - pace.seconds))
            pace.most = min(_MOST, max(pace.most, 2 * made))
        self._paces[model] = pace
        if len(self._paces) > _KNOWN:
            self._paces.popitem(last=False)
