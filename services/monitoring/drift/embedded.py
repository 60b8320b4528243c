"""What a feature of texts or pictures looked like, and whether it still does."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.monitoring.drift import statistics
from services.monitoring.drift.embeddings import ArrayEmbedding, Embedding, TextEmbedding, restored
from services.monitoring.drift.numbers import FEW, NumberProfile
from services.monitoring.drift.samples import Finding, Matrix, State, Value

# The least share of all variation that lies between baseline and window, see docs/drift.md.
LEAST_SHARE = 0.015

# Points compared at once, of the baseline and of the window.
_MOST_POINTS = 500
_MOST_VALUES = 4000
_SEED = 7


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedProfile:
    """Texts or pictures as points, and numbers about each of them.

    Attributes:
        embedding: fitted on a half of the values; all else comes from the other half, because
            what it was fitted on lies nearer to it than anything that comes later.
        reference: points of that half, float32 [n, d].
        width: of the kernel.
        numbers: profiles of brightness, length and so on.
    """

    embedding: Embedding
    reference: Matrix
    width: float
    numbers: dict[str, NumberProfile]

    @property
    def kind(self) -> str:
        """`text` or `array`."""
        return self.embedding.kind

    @classmethod
    def fit(cls, values: Sequence[Value], kind: str, keep: int) -> "EmbeddedProfile":
        """Describe values in random order, none of them missing."""
        values = values[:_MOST_VALUES]
        half = len(values) // 2
        chosen = TextEmbedding if kind == TextEmbedding.kind else ArrayEmbedding
        embedding: Embedding = chosen.fit(values[:half])
        reference = embedding.points(values[half:][:_MOST_POINTS])
        numbers = {
            name: NumberProfile.fit(found, keep)
            for name, found in embedding.numbers(values[half:]).items()
        }
        return cls(embedding, reference, statistics.bandwidth(reference), numbers)

    def compare(self, name: str, values: Sequence[Value]) -> list[Finding]:
        """Test the values of a window, none of them missing."""
        found = []
        if len(values) >= FEW:
            some = values
            if len(values) > _MOST_POINTS:
                order = np.random.default_rng(_SEED).permutation(len(values))[:_MOST_POINTS]
                some = [values[int(index)] for index in order]
            points = self.embedding.points(some)
            share, p_value = statistics.mmd(self.reference, points, self.width)
            note = f"{share:.1%} of all variation lies between the baseline and now"
            effect = share / LEAST_SHARE
            found.append(Finding(name, self.kind, "embedding", p_value, effect, len(values), note))
        for part, numbers in self.embedding.numbers(values).items():
            found += self.numbers[part].compare(f"{name}.{part}", numbers)
        return found

    def state(self) -> State:
        """Return what `restore` needs."""
        arrays = {**self.embedding.arrays(), "reference": self.reference}
        parts = {}
        for name, profile in self.numbers.items():
            parts[name], own = profile.state()
            arrays |= {f"{name}.{key}": array for key, array in own.items()}
        return {"width": self.width, "numbers": parts}, arrays

    @classmethod
    def restore(
        cls, kind: str, meta: dict[str, Any], arrays: dict[str, NDArray[Any]]
    ) -> "EmbeddedProfile":
        """Make a profile of its state.

        Raises:
            ValueError, KeyError, TypeError: it is none.
        """
        embedding = restored(kind, arrays)
        reference = np.asarray(arrays["reference"], np.float32)
        width = float(meta["width"])
        if reference.ndim != 2 or reference.shape[1:] != embedding.scale.shape or not width > 0:
            raise ValueError("sizes")
        numbers = {}
        for name in embedding.parts:
            own = {
                key.removeprefix(f"{name}."): array
                for key, array in arrays.items()
                if key.startswith(f"{name}.")
            }
            numbers[name] = NumberProfile.restore(meta["numbers"][name], own)
        return cls(embedding, reference, width, numbers)
