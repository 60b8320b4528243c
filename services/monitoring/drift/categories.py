"""What a feature of categories looked like, and whether it still does."""

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.monitoring.drift import statistics
from services.monitoring.drift.numbers import FEW, LEAST_INDEX, LEAST_SHARE
from services.monitoring.drift.samples import Finding, State, Value
from services.monitoring.drift.statistics import Counts

KIND = "category"

_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True, eq=False)
class CategoryProfile:
    """The frequent categories of one feature, and which others there were.

    Attributes:
        names: of the frequent ones, shortened.
        cells: their hashes.
        known: hashes of the others that there were, those most seen.
        counts: how often each frequent one, any other known one, and any not known came. In a
            half of the values that did not choose what is frequent or known, so a feature whose
            values are mostly new (an id) has many of those here already.
    """

    names: tuple[str, ...]
    cells: NDArray[np.uint32]
    known: NDArray[np.uint32]
    counts: Counts

    @classmethod
    def fit(cls, values: Sequence[Value], most_cells: int, most_known: int) -> "CategoryProfile":
        """Describe values in random order, none of them missing."""
        half = (len(values) + 1) // 2
        common = Counter(_text(value) for value in values[:half]).most_common()
        hashes = np.array([_hash(text) for text, _ in common], np.uint32)
        profile = cls(
            tuple(text[:_LONGEST_NAME] for text, _ in common[:most_cells]),
            hashes[:most_cells],
            hashes[most_cells : most_cells + most_known],
            np.zeros(min(len(common), most_cells) + 2, np.int64),
        )
        counts, _ = profile._count(values[half:])
        return cls(profile.names, profile.cells, profile.known, counts)

    def compare(self, name: str, values: Sequence[Value]) -> list[Finding]:
        """Test the values of a window, none of them missing."""
        counts, newest = self._count(values)
        found = [self._unseen(name, counts, newest)]
        if len(values) >= FEW:
            # Those never seen are tested by themselves.
            index = statistics.stability_index(self.counts[:-1], counts[:-1])
            found.append(
                Finding(
                    name,
                    KIND,
                    "distribution",
                    statistics.chi_square(self.counts[:-1], counts[:-1]),
                    index / LEAST_INDEX,
                    len(values),
                    self._most_changed(counts),
                    psi=index,
                )
            )
        return found

    def _unseen(self, name: str, counts: Counts, newest: str | None) -> Finding:
        before, of = int(self.counts[-1]), int(self.counts.sum())
        after, among = int(counts[-1]), int(counts.sum())
        shares = f"{after / max(1, among):.0%} instead of {before / max(1, of):.0%}"
        example = "" if newest is None else f", most of all {newest[:_LONGEST_NAME]!r}"
        return Finding(
            name,
            KIND,
            "unseen",
            statistics.more_often(before, of, after, among),
            (after / max(1, among) - before / max(1, of)) / LEAST_SHARE,
            among,
            f"not seen before: {shares}{example}",
        )

    def _most_changed(self, counts: Counts) -> str:
        before, after = self.counts / max(1, self.counts.sum()), counts / max(1, counts.sum())
        place = int(np.argmax(np.abs(after - before)))
        names = [*map(repr, self.names), "rare ones", "not seen before"]
        return f"{names[place]}: {after[place]:.0%} instead of {before[place]:.0%}"

    def _count(self, values: Sequence[Value]) -> tuple[Counts, str | None]:
        """Return counts as in `counts`, and the most frequent category that is not known."""
        places = {int(cell): place for place, cell in enumerate(self.cells)}
        rare, unknown = len(self.cells), len(self.cells) + 1
        places |= dict.fromkeys(self.known.tolist(), rare)
        counts = np.zeros(unknown + 1, np.int64)
        newest = None
        for text, times in Counter(_text(value) for value in values).most_common():
            place = places.get(_hash(text), unknown)
            counts[place] += times
            if place == unknown and newest is None:
                newest = text
        return counts, newest

    def state(self) -> State:
        """Return what `restore` needs."""
        arrays: dict[str, NDArray[Any]] = {
            "cells": self.cells,
            "known": self.known,
            "counts": self.counts,
        }
        return {"names": list(self.names)}, arrays

    @classmethod
    def restore(cls, meta: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> "CategoryProfile":
        """Make a profile of its state.

        Raises:
            ValueError, KeyError, TypeError: it is none.
        """
        names = tuple(str(name) for name in meta["names"])
        cells, known = (np.asarray(arrays[name], np.uint32) for name in ("cells", "known"))
        counts = np.asarray(arrays["counts"], np.int64)
        if cells.shape != (len(names),) or known.ndim != 1 or counts.shape != (len(names) + 2,):
            raise ValueError("sizes")
        return cls(names, cells, known, counts)


def _text(value: Value) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else "(an array)"


def _hash(text: str) -> int:
    return zlib.crc32(text.encode("utf-8", "replace"))
