"""A network for shapes in memory, and how it is trained."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from services.core.errors import CheckpointError
from services.core.images import ImageLimits, decode_image
from services.core.settings import Settings
from services.core.signature import Field, Signature
from services.families import _torch
from services.families._pictures import FILE, example, picture
from services.families.base import (
    Artifact,
    Fitted,
    Model,
    ModelInfo,
    Picture,
    Report,
    Split,
    predict,
)
from services.families.shapes.focus import SIDE, focus
from services.families.shapes.network import build, served, unchanged, vary

_MAX_BATCH = 256
_MOST_CLASSES = 1000
SIGNATURE = Signature(
    inputs=(FILE,), outputs=(Field("class", "string"), Field("confidence", "double"))
)


class ShapesModel(Model):
    """Says which shape a picture shows."""

    signature = SIGNATURE
    max_batch = _MAX_BATCH

    def __init__(self, artifact: Artifact, settings: Settings) -> None:
        self.labels = _labels(artifact.config)
        self._limits = ImageLimits.from_settings(settings)
        network = build(len(self.labels))
        _torch.load(network, artifact.folder)
        self._network: nn.Module = served(network)
        self.info = ModelInfo(
            name=artifact.name,
            version=artifact.version,
            family="shapes",
            task="image-classification",
            device="cpu",
            memory_bytes=_torch.memory(self._network),
            details={"classes": list(self.labels), "input": [SIDE, SIDE]},
        )

    def preprocess(self, payload: Any) -> NDArray[np.uint8]:
        """Decode a `Picture` and cut its figure out; return uint8 [1, 48, 48].

        Raises:
            InvalidInputError: there is no picture, or not one that is accepted here.
        """
        return focus(decode_image(picture(payload).data, self._limits))[None]

    def infer(self, batch: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """Return probabilities, float32 [classes], for each picture."""
        return list(_torch.probabilities(self._network, np.stack(batch)))

    def postprocess(self, prepared: Any, raw: NDArray[np.float32]) -> dict[str, Any]:
        """Return the likeliest class, its probability, and the probability of each."""
        best = int(raw.argmax())
        return {
            "class": self.labels[best],
            "confidence": float(raw[best]),
            "probabilities": dict(zip(self.labels, raw.tolist(), strict=True)),
        }

    def confidences(self, output: Mapping[str, Any]) -> list[float]:
        """Return the probability of the class that was answered."""
        return [output["confidence"]]

    def warm(self) -> None:
        """Run one picture and many, for each takes its own way through torch."""
        blank = np.zeros((1, SIDE, SIDE), np.uint8)
        for count in (1, 64):
            self.infer([blank] * count)

    def close(self) -> None:
        """Give back the network's memory."""
        del self._network


def _labels(config: Mapping[str, Any]) -> tuple[str, ...]:
    labels = config.get("labels")
    if (
        not isinstance(labels, list)
        or not 2 <= len(labels) <= _MOST_CLASSES
        or not all(isinstance(label, str) for label in labels)
        or len(set(labels)) != len(labels)
    ):
        raise CheckpointError(
            "The model's configuration does not name its classes.",
            where="labels",
            expected=f"2 to {_MOST_CLASSES} different names",
        )
    return tuple(labels)


def fit(split: Split, params: Mapping[str, Any], seed: int, report: Report) -> Fitted:
    """Train on a split of `data.py` (see `TrainableFamily.fit`)."""
    seen = split.train
    network = _torch.train(
        partial(build, len(seen.labels)),
        torch.from_numpy(seen.pictures),
        torch.from_numpy(seen.numbers),
        _torch.Recipe.of(params, seed),
        vary if params["turn"] else unchanged,
        report,
    )

    def save(folder: Path) -> None:
        _torch.save(network, folder)

    smallest = min(split.held_out.files, key=len)
    return Fitted(save, SIGNATURE, example(smallest), {"labels": list(seen.labels)})


def evaluate(model: Model, held_out: Any) -> dict[str, float]:
    """Judge a model as it is served (see `TrainableFamily.evaluate`)."""
    found = [predict(model, Picture(data))["class"] for data in held_out.files]
    return _torch.scores(held_out.names, found)
