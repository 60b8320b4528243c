"""Texts and pictures as a few numbers each: cheap, always the same, and of no served model.

Texts: hashed words and pairs of words, projected onto the main directions of those of the
baseline. Pictures (and long vectors): their main components. How far a thing lies outside these
directions is one number more.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from services.monitoring.drift.pictures import SIZE
from services.monitoring.drift.samples import Matrix, Value

_DIRECTIONS = 16
_WORDS = 2048
_VOCABULARY = 1 << 16
# Enough to find directions; more would only take longer.
_MOST = 1000
_SEED = 7


@dataclass(frozen=True, slots=True, eq=False)
class Embedding(ABC):
    """Directions, found in some things, onto which others are projected.

    Attributes:
        parts: names of what `numbers` gives.
        centre: what is taken off first, float32 [features].
        directions: float32 [d, features].
        scale: spread of each coordinate, and of the distance, float32 [d + 1].
    """

    kind: ClassVar[str]
    parts: ClassVar[tuple[str, ...]]
    centre: Matrix
    directions: Matrix
    scale: Matrix

    def points(self, values: Sequence[Value]) -> Matrix:
        """Return float32 [n, d + 1]."""
        return self.project(self.vectors(values)) / self.scale

    def project(self, vectors: Any) -> Matrix:
        """Return coordinates and the distance from the directions, float32 [n, d + 1]."""
        shift = self.centre @ self.directions.T
        along = np.asarray(vectors @ self.directions.T, np.float32) - shift
        centred = _squares(vectors) - 2 * (vectors @ self.centre) + float((self.centre**2).sum())
        beside = np.sqrt(np.maximum(centred - (along**2).sum(axis=1), 0.0))
        return np.column_stack([along, beside]).astype(np.float32)

    @abstractmethod
    def vectors(self, values: Sequence[Value]) -> Any:
        """Return what is projected: a matrix [n, features], perhaps a sparse one."""

    @abstractmethod
    def numbers(self, values: Sequence[Value]) -> dict[str, list[float]]:
        """Return numbers of each thing, to be watched like a feature of their own."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what is stored."""
        directions = self.directions.astype(np.float16)
        return {"centre": self.centre, "directions": directions, "scale": self.scale}


@dataclass(frozen=True, slots=True, eq=False)
class TextEmbedding(Embedding):
    """Of texts.

    Attributes:
        vocabulary: bits of the hashes of known words, uint8.
    """

    kind = "text"
    parts = ("length", "unknown_words")
    vocabulary: NDArray[np.uint8]

    @classmethod
    def fit(cls, values: Sequence[Value]) -> "TextEmbedding":
        """Find the directions of texts."""
        texts = [value for value in values if isinstance(value, str)]
        known = np.zeros(_VOCABULARY, bool)
        known[_hashed(texts, _VOCABULARY, pairs=False).indices] = True
        vectors = _hashed(texts[:_MOST], _WORDS, pairs=True)
        directions = _main_directions(vectors)
        empty = cls(np.zeros(_WORDS, np.float32), directions, np.ones(1, np.float32), known)
        scale = _spread(empty.project(vectors))
        return cls(empty.centre, directions, scale, np.packbits(known))

    def vectors(self, values: Sequence[Value]) -> Any:
        """Return hashed words and pairs of words, a sparse matrix [n, 2048]."""
        return _hashed(_texts(values), self.directions.shape[1], pairs=True)

    def numbers(self, values: Sequence[Value]) -> dict[str, list[float]]:
        """Return the logarithm of the number of words, and the share of unknown ones."""
        hashed = _hashed(_texts(values), _VOCABULARY, pairs=False)
        known = np.unpackbits(self.vocabulary).astype(bool)
        totals = np.asarray(hashed.sum(axis=1)).ravel()
        unknown = totals - np.asarray(hashed @ known.astype(np.float32)).ravel()
        return {
            "length": np.log1p(totals).tolist(),
            "unknown_words": (unknown / np.maximum(totals, 1)).tolist(),
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what is stored."""
        return {**super(TextEmbedding, self).arrays(), "vocabulary": self.vocabulary}


@dataclass(frozen=True, slots=True, eq=False)
class ArrayEmbedding(Embedding):
    """Of pictures, and of vectors."""

    kind = "array"
    parts = ("brightness", "contrast")

    @classmethod
    def fit(cls, values: Sequence[Value]) -> "ArrayEmbedding":
        """Find the directions of pictures."""
        vectors = _stacked(values[:_MOST])
        centre = vectors.mean(axis=0)
        directions = _main_directions(vectors - centre)
        empty = cls(centre, directions, np.ones(1, np.float32))
        return cls(centre, directions, _spread(empty.project(vectors)))

    def vectors(self, values: Sequence[Value]) -> Matrix:
        """Return the pixels, [n, 784]."""
        return _stacked(values)

    def numbers(self, values: Sequence[Value]) -> dict[str, list[float]]:
        """Return mean and standard deviation of the pixels."""
        vectors = _stacked(values)
        return {
            "brightness": vectors.mean(axis=1).tolist(),
            "contrast": vectors.std(axis=1).tolist(),
        }


def restored(kind: str, arrays: Mapping[str, NDArray[Any]]) -> Embedding:
    """Make an embedding of what was stored.

    Raises:
        ValueError, KeyError: it is none.
    """
    centre, directions, scale = (
        np.asarray(arrays[name], np.float32) for name in ("centre", "directions", "scale")
    )
    size = _WORDS if kind == TextEmbedding.kind else SIZE
    if directions.ndim != 2 or directions.shape[1] != size or centre.shape != (size,):
        raise ValueError("sizes")
    if scale.shape != (len(directions) + 1,) or not (scale > 0).all():
        raise ValueError("scale")
    if kind == ArrayEmbedding.kind:
        return ArrayEmbedding(centre, directions, scale)
    vocabulary = np.asarray(arrays["vocabulary"], np.uint8)
    if vocabulary.shape != (_VOCABULARY // 8,):
        raise ValueError("vocabulary")
    return TextEmbedding(centre, directions, scale, vocabulary)


def _main_directions(vectors: Any) -> Matrix:
    """Return the first right singular vectors of a matrix, float32 [d, features]."""
    from sklearn.utils.extmath import randomized_svd

    wanted = max(1, min(_DIRECTIONS, vectors.shape[0] - 1))
    _, _, found = randomized_svd(vectors, wanted, random_state=_SEED)
    # As they will be stored, so that a baseline does not change by being stored.
    return np.asarray(found, np.float16).astype(np.float32)


def _spread(points: Matrix) -> Matrix:
    found = points.std(axis=0)
    found[found < 1e-3] = 1.0
    return np.asarray(found, np.float32)


def _squares(vectors: Any) -> NDArray[Any]:
    squared = vectors.multiply(vectors) if hasattr(vectors, "multiply") else vectors * vectors
    return np.asarray(squared.sum(axis=1)).ravel()


def _hashed(texts: Sequence[str], size: int, *, pairs: bool) -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(
        n_features=size,
        ngram_range=(1, 2) if pairs else (1, 1),
        norm="l2" if pairs else None,
        alternate_sign=pairs,
        token_pattern=r"(?u)\b\w+\b",  # noqa: S106
        dtype=np.float32,
    ).transform(texts)


def _texts(values: Sequence[Value]) -> list[str]:
    return [value if isinstance(value, str) else "" for value in values]


def _stacked(values: Sequence[Value]) -> Matrix:
    blank = np.zeros(SIZE, np.float32)
    found = [value if isinstance(value, np.ndarray) else blank for value in values]
    return np.stack(found) if found else np.zeros((0, SIZE), np.float32)
