"""The kind that weighs words and pairs of words: small, and fast on any machine."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.errors import CheckpointError
from services.core.skops_file import load
from services.families.sentiment.marking import TOKEN, mark

FILE = "model.skops"
# Found by cross-validation on the part of the reviews that is learned from.
_STRENGTH = 4.0


class WordModel:
    """A vectoriser and a logistic regression."""

    title = "TF-IDF"
    max_batch = 1024

    def __init__(self, pipeline: Any, size: int) -> None:
        self._pipeline = pipeline
        self.memory_bytes = size
        self.details = {"features": len(pipeline[0].vocabulary_)}

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the probability of each class, [texts, classes]."""
        found = self._pipeline.predict_proba([mark(text) for text in texts])
        return np.asarray(found, dtype=np.float64)

    def close(self) -> None:
        """Give back the memory."""
        del self._pipeline


def fit(texts: Sequence[str], labels: Sequence[int], params: Mapping[str, Any]) -> Any:
    """Return the fitted pipeline; labels are positions in the list of classes."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    vectoriser = TfidfVectorizer(
        ngram_range=(1, params["ngram_max"]),
        max_features=params["max_features"],
        sublinear_tf=True,
        lowercase=False,
        token_pattern=TOKEN,
    )
    strength = _STRENGTH / params["regularisation"]
    pipeline = make_pipeline(vectoriser, LogisticRegression(C=strength, max_iter=1000))
    pipeline.fit([mark(text) for text in texts], np.asarray(labels))
    # skops keeps each of NumPy's numbers in a file of its own: 13,000 of them take seconds to open.
    vectoriser.vocabulary_ = {word: int(at) for word, at in vectoriser.vocabulary_.items()}
    return pipeline


def save(pipeline: Any, folder: Path) -> None:
    """Write the pipeline into a folder; the file holds data only."""
    import skops.io

    skops.io.dump(pipeline, folder / FILE, compression=zipfile.ZIP_DEFLATED)


def open_words(folder: Path, classes: int) -> WordModel:
    """Read what `save` wrote.

    Raises:
        CheckpointError: it is missing, unsafe, or not of this many classes.
    """
    path = folder / FILE
    pipeline = load(path)
    try:
        fits = list(pipeline[-1].classes_) == list(range(classes)) and pipeline[0].vocabulary_
    except (AttributeError, TypeError, IndexError, KeyError):
        fits = False
    if not fits:
        raise CheckpointError(
            "The model does not fit its configuration.", where=FILE, expected="what training saved"
        )
    with zipfile.ZipFile(path) as archive:
        size = sum(part.file_size for part in archive.infolist())
    return WordModel(pipeline, size)
