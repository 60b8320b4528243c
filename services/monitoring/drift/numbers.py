"""What a feature of numbers looked like, and whether it still does."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.monitoring.drift import statistics
from services.monitoring.drift.samples import Finding, Numbers, State, Value
from services.monitoring.drift.statistics import Counts

KIND = "number"
# The least changes that count, see docs/drift.md.
LEAST_INDEX, LEAST_DISTANCE, LEAST_SHARE = 0.2, 0.2, 0.05
# Fewer values say too little of a distribution.
FEW = 20

_BINS = 10


@dataclass(frozen=True, slots=True, eq=False)
class NumberProfile:
    """Histogram, range and a sample of the numbers of one feature.

    Attributes:
        reference: some of the values.
        edges: deciles; equal ones once.
        counts: values up to each edge, and above the last.
        low, high: range of half of the values.
        outside: how many of the other half lie outside of it (or are no numbers), and its size.
    """

    reference: Numbers
    edges: Numbers
    counts: Counts
    low: float
    high: float
    outside: tuple[int, int]

    @classmethod
    def fit(cls, values: Sequence[Value], keep: int) -> "NumberProfile":
        """Describe values in random order, none of them missing; keep so many as reference."""
        half = (len(values) + 1) // 2
        first, second = _floats(values[:half]), _floats(values[half:])
        everything = np.concatenate([first, second])
        edges = np.unique(np.quantile(everything, np.linspace(0, 1, _BINS + 1)[1:-1]))
        known = first if len(first) else everything
        low, high = float(known.min()), float(known.max())
        strange = len(values) - half - int(_within(second, low, high).sum())
        return cls(
            everything[:keep],
            edges,
            _histogram(everything, edges),
            low,
            high,
            (strange, len(values) - half),
        )

    def compare(self, name: str, values: Sequence[Value]) -> list[Finding]:
        """Test the values of a window, none of them missing."""
        numbers = _floats(values)
        found = [self._unseen(name, numbers, len(values))]
        if len(numbers) >= FEW:
            found.append(self._distribution(name, numbers))
        return found

    def _distribution(self, name: str, numbers: Numbers) -> Finding:
        distance, p_value = statistics.ks(self.reference, numbers)
        index = statistics.stability_index(self.counts, _histogram(numbers, self.edges))
        return Finding(
            name,
            KIND,
            "distribution",
            p_value,
            max(index / LEAST_INDEX, distance / LEAST_DISTANCE),
            len(numbers),
            f"mean {numbers.mean():.4g} instead of {self.reference.mean():.4g}, "
            f"deviation {numbers.std():.4g} instead of {self.reference.std():.4g}",
            psi=index,
            ks=distance,
        )

    def _unseen(self, name: str, numbers: Numbers, count: int) -> Finding:
        strange = count - int(_within(numbers, self.low, self.high).sum())
        before, of = self.outside
        return Finding(
            name,
            KIND,
            "unseen",
            statistics.more_often(before, of, strange, count),
            (strange / count - before / max(1, of)) / LEAST_SHARE if count else 0.0,
            count,
            f"outside {self.low:.4g} to {self.high:.4g}: {strange / max(1, count):.0%} "
            f"instead of {before / max(1, of):.0%}",
        )

    def state(self) -> State:
        """Return what `restore` needs."""
        return (
            {"low": self.low, "high": self.high, "outside": list(self.outside)},
            {"reference": self.reference, "edges": self.edges, "counts": self.counts},
        )

    @classmethod
    def restore(cls, meta: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> "NumberProfile":
        """Make a profile of its state.

        Raises:
            ValueError, KeyError, TypeError: it is none.
        """
        reference, edges = (np.asarray(arrays[name], np.float64) for name in ("reference", "edges"))
        counts = np.asarray(arrays["counts"], np.int64)
        if reference.ndim != 1 or not len(reference) or counts.shape != (len(edges) + 1,):
            raise ValueError("sizes")
        before, of = meta["outside"]
        outside = (int(before), int(of))
        return cls(reference, edges, counts, float(meta["low"]), float(meta["high"]), outside)


def _floats(values: Sequence[Value]) -> Numbers:
    return np.array([value for value in values if isinstance(value, float)], np.float64)


def _within(numbers: Numbers, low: float, high: float) -> NDArray[np.bool_]:
    return np.asarray((numbers >= low) & (numbers <= high))


def _histogram(numbers: Numbers, edges: Numbers) -> Counts:
    places = np.searchsorted(edges, numbers, side="left")
    return np.bincount(places, minlength=len(edges) + 1).astype(np.int64)
