"""One feature of a baseline: what kind it is of, how often it is missing, and how it looked."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.monitoring.drift import categories, numbers, statistics
from services.monitoring.drift.categories import CategoryProfile
from services.monitoring.drift.embedded import EmbeddedProfile
from services.monitoring.drift.embeddings import ArrayEmbedding, TextEmbedding
from services.monitoring.drift.numbers import FEW, LEAST_SHARE, NumberProfile
from services.monitoring.drift.samples import Finding, Value

Profile = NumberProfile | CategoryProfile | EmbeddedProfile
EMBEDDED = (TextEmbedding.kind, ArrayEmbedding.kind)

# Texts have this many words on average, and more different values than categories have.
_WORDS_OF_TEXT = 4
_MOST_CATEGORIES = 50


@dataclass(frozen=True, slots=True)
class Room:
    """How much may be kept of each feature, so that a baseline stays below its size."""

    numbers: int
    cells: int
    known: int


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """A feature.

    Attributes:
        kind: `number`, `category`, `text` or `array`.
        absent: in how many rows it was missing, and of how many; (0, 0): that does not matter.
        profile: None where it had too few values to say anything.
    """

    kind: str
    absent: tuple[int, int]
    profile: Profile | None

    @classmethod
    def fit(cls, kind: str, values: Sequence[Value], room: Room, *, optional: bool) -> "Watched":
        """Describe the values of all rows, in random order; None where one is missing."""
        present = [value for value in values if value is not None]
        absent = (0, 0) if optional else (len(values) - len(present), len(values))
        return cls(kind, absent, _profile(kind, present, room))

    def compare(self, name: str, values: Sequence[Value]) -> list[Finding]:
        """Test the values of a window's rows; None where one is missing."""
        present = [value for value in values if value is not None]
        found = []
        if self.absent[1]:
            found.append(absence(name, self.kind, self.absent, values))
        if self.profile is not None and present:
            found += self.profile.compare(name, present)
        return found


def kind_of(values: Sequence[Value]) -> str:
    """Return what most values of a feature are; None among them does not count."""
    present = [value for value in values if value is not None]
    texts = [value for value in present if isinstance(value, str)]
    if sum(isinstance(value, float) for value in present) * 2 > len(present):
        return numbers.KIND
    if sum(isinstance(value, np.ndarray) for value in present) * 2 > len(present):
        return ArrayEmbedding.kind
    words = sum(len(text.split()) for text in texts)
    if words >= _WORDS_OF_TEXT * max(1, len(texts)) and len(set(texts)) > _MOST_CATEGORIES:
        return TextEmbedding.kind
    return categories.KIND


def absence(name: str, kind: str, before: tuple[int, int], values: Sequence[Value]) -> Finding:
    """Test whether a feature is missing more or less often than `before` (times, of how many)."""
    absent, count = sum(value is None for value in values), len(values)
    share, old = absent / max(1, count), before[0] / max(1, before[1])
    return Finding(
        name,
        kind,
        "missing",
        statistics.differently_often(*before, absent, count),
        abs(share - old) / LEAST_SHARE,
        count - absent,
        f"missing in {share:.0%} of the rows instead of {old:.0%}",
    )


def _profile(kind: str, present: Sequence[Value], room: Room) -> Profile | None:
    if len(present) < FEW or (kind == numbers.KIND and not _numbers_enough(present)):
        return None
    if kind == numbers.KIND:
        return NumberProfile.fit(present, room.numbers)
    if kind in EMBEDDED:
        return EmbeddedProfile.fit(present, kind, room.numbers)
    return CategoryProfile.fit(present, room.cells, room.known)


def _numbers_enough(present: Sequence[Value]) -> bool:
    return sum(isinstance(value, float) for value in present) >= FEW
