"""What the inputs and answers of a model looked like when it was trained."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from services.core.errors import InvalidInputError
from services.monitoring.drift import categories, numbers, stored
from services.monitoring.drift.embedded import EmbeddedProfile
from services.monitoring.drift.samples import CONFIDENCE, PREDICTION, Sample, Value
from services.monitoring.drift.watched import EMBEDDED, Room, Watched, kind_of

MIN_ROWS = 50

_MOST_ROWS = 20_000
_MOST_FEATURES = 256
# Each takes about 110 KB of a stored baseline.
_MOST_EMBEDDED = 3
_SEED = 7


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """Profiles of the features, of the answers and of their confidence.

    Attributes:
        fields: names of the model's inputs in order, for `describe`.
        rows: rows that it was fitted on.
        created: in seconds since 1970.
        watched: each feature of the inputs, at most 256.
        answers: `_prediction` and `_confidence`, as far as they were there.
        skipped: features beyond the bounds; nobody watches them.
    """

    fields: tuple[str, ...]
    rows: int
    created: float
    watched: Mapping[str, Watched]
    answers: Mapping[str, Watched]
    skipped: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        """The names that reports speak of."""
        found: list[str] = []
        for name, one in (*self.watched.items(), *self.answers.items()):
            found.append(name)
            if isinstance(one.profile, EmbeddedProfile):
                found += [f"{name}.{part}" for part in one.profile.numbers]
        return tuple(found)

    @classmethod
    def fit(cls, samples: Sequence[Sample], *, fields: Sequence[str] = ()) -> "Baseline":
        """Describe samples; beyond 20,000 a random choice of them, always the same.

        Raises:
            InvalidInputError: there are fewer than 50 that say anything.
        """
        filled = [sample for sample in samples if not sample.empty]
        if len(filled) < MIN_ROWS:
            raise InvalidInputError(
                "There are too few rows to know what is usual.",
                where="samples",
                expected=f"at least {MIN_ROWS} rows",
                received=f"{len(filled)} rows",
            )
        order = np.random.default_rng(_SEED).permutation(len(filled))[:_MOST_ROWS]
        chosen = [filled[int(index)] for index in order]
        columns, skipped = _columns(chosen)
        given: dict[str, list[Value]] = {
            PREDICTION: [s.prediction for s in chosen if s.prediction is not None],
            CONFIDENCE: [s.confidence for s in chosen if s.confidence is not None],
        }
        answers = {name: values for name, values in given.items() if values}
        kinds = {name: kind_of(values) for name, values in (columns | answers).items()}
        # A long answer is no text to be taken apart.
        kinds = {n: categories.KIND if n in answers and k in EMBEDDED else k
                 for n, k in kinds.items()}  # fmt: skip
        skipped += _too_many_embedded(kinds)
        room = _room(kinds.values())
        return cls(
            tuple(fields),
            len(chosen),
            time.time(),
            {
                name: Watched.fit(kinds[name], values, room, optional=False)
                for name, values in columns.items()
                if name not in skipped
            },
            {
                name: Watched.fit(kinds[name], values, room, optional=True)
                for name, values in answers.items()
            },
            tuple(skipped),
        )

    def to_bytes(self) -> bytes:
        """Return an archive (.npz) of at most about a megabyte; nothing in it can run code."""
        head = {
            "fields": list(self.fields),
            "rows": self.rows,
            "created": self.created,
            "skipped": list(self.skipped),
        }
        return stored.pack(head, {"watched": self.watched, "answers": self.answers})

    @classmethod
    def from_bytes(cls, payload: bytes) -> "Baseline":
        """Read what `to_bytes` gave.

        Raises:
            CheckpointError: it is damaged, of another version, or no baseline at all.
        """
        head, parts = stored.unpack(payload, ("watched", "answers"))
        return cls(
            tuple(map(str, head["fields"])),
            int(head["rows"]),
            float(head["created"]),
            parts["watched"],
            parts["answers"],
            tuple(map(str, head["skipped"])),
        )


def _columns(samples: Sequence[Sample]) -> tuple[dict[str, list[Value]], list[str]]:
    """Return the features' values, None where one is missing, and the names beyond the bound."""
    featured = [sample for sample in samples if sample.features]
    names = sorted({name for sample in featured for name in sample.features})
    columns: dict[str, list[Value]] = {
        name: [s.features.get(name) for s in featured if name not in s.hidden]
        for name in names[:_MOST_FEATURES]
    }
    return columns, names[_MOST_FEATURES:]


def _too_many_embedded(kinds: Mapping[str, str]) -> list[str]:
    return [name for name, kind in kinds.items() if kind in EMBEDDED][_MOST_EMBEDDED:]


def _room(kinds: Iterable[str]) -> Room:
    known = list(kinds)
    ours = max(1, known.count(numbers.KIND))
    theirs = max(1, known.count(categories.KIND))
    return Room(min(1000, 40_000 // ours), min(50, 2000 // theirs), min(2000, 30_000 // theirs))
