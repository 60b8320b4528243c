"""A model of texts in memory: checks them, asks one of the two kinds, and names the classes."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from services.core.errors import CheckpointError
from services.core.settings import Settings
from services.core.signature import Field, Signature
from services.families.base import Artifact, Model, ModelInfo
from services.families.sentiment.payload import COLUMN, KINDS, Prepared, read_texts

SIGNATURE = Signature(
    inputs=(Field(COLUMN, "string"),),
    outputs=(Field("predictions", "string"),),
)
_LONG = "a long review " * 40


class Kind(Protocol):
    """What differs between the kinds."""

    title: str
    max_batch: int
    memory_bytes: int
    details: dict[str, Any]

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the probability of each class, [texts, classes]."""

    def close(self) -> None:
        """Give back the memory."""


class SentimentModel(Model):
    """Says of texts which class each is of, and how sure that is."""

    signature = SIGNATURE
    arrays = True

    def __init__(self, artifact: Artifact, settings: Settings) -> None:
        self._kind, self._classes = _configured(artifact.config)
        self._max_rows = settings.max_rows
        self._inner = _opened(artifact, self._kind, len(self._classes))
        self.max_batch = self._inner.max_batch
        self.info = ModelInfo(
            name=artifact.name,
            version=artifact.version,
            family=artifact.family,
            task="text-classification",
            device="cpu",
            memory_bytes=self._inner.memory_bytes,
            details={"kind": self._kind, "classes": self._classes, **self._inner.details},
        )

    def preprocess(self, payload: Any) -> Prepared:
        """Check `reviews` or `inputs`.

        Raises:
            InvalidInputError: which text is wrong, and what was expected.
        """
        return read_texts(payload, self._kind, self._max_rows)

    def infer(self, batch: Sequence[Prepared]) -> list[NDArray[np.float64]]:
        """Return probabilities, float64 [texts, classes], for each payload."""
        found = self._inner.probabilities([text for one in batch for text in one.texts])
        return np.split(found, np.cumsum([len(one.texts) for one in batch])[:-1])

    def postprocess(self, prepared: Prepared, raw: NDArray[np.float64]) -> dict[str, Any]:
        """Return each text's class, with confidences for `reviews`, probabilities for `inputs`."""
        predictions = [self._classes[index] for index in raw.argmax(axis=1)]
        if not prepared.reviews:
            return {
                "predictions": predictions,
                "probabilities": raw.tolist(),
                "classes": list(self._classes),
            }
        return {
            "model": self._inner.title,
            "predictions": predictions,
            "count": len(predictions),
            "confidences": raw.max(axis=1).tolist(),
        }

    def rows(self, prepared: Prepared) -> int:
        """Return the number of texts."""
        return len(prepared.texts)

    def cache_key(self, prepared: Prepared) -> bytes:
        """Return a hash of the texts and of the form of the answer."""
        return prepared.key()

    def confidences(self, output: Mapping[str, Any]) -> list[float]:
        """Return the probability of each class that was answered."""
        if "confidences" in output:
            return list(output["confidences"])
        return [max(row) for row in output["probabilities"]]

    def warm(self) -> None:
        """Read one short text, and several of which one is long."""
        self.infer([Prepared(("warm",), reviews=True)])
        self.infer([Prepared(("warm", "a few words", _LONG), reviews=True)])

    def close(self) -> None:
        """Give back the memory."""
        self._inner.close()


def _configured(config: Mapping[str, Any]) -> tuple[str, list[str]]:
    kind, classes = config.get("kind"), config.get("classes")
    if (
        kind not in KINDS
        or not isinstance(classes, list)
        or len(classes) < 2
        or not all(isinstance(name, str) for name in classes)
    ):
        raise CheckpointError(
            "The model's configuration does not describe it.",
            where="config",
            expected="its kind, tfidf or bert, and the names of its classes",
        )
    return kind, classes


def _opened(artifact: Artifact, kind: str, classes: int) -> Kind:
    if kind == "tfidf":
        from services.families.sentiment.tfidf import open_words

        return open_words(artifact.folder, classes)
    from services.families.sentiment.bert import open_encoder

    given = artifact.config.get("encoder")
    encoder = given if isinstance(given, Mapping) else {}
    return open_encoder(artifact.folder, encoder, classes)
