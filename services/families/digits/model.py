"""A network for digits in memory, and how it is trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from services.core.errors import CheckpointError
from services.core.settings import Settings
from services.core.signature import Field, Signature
from services.families import _torch
from services.families.base import Artifact, Fitted, Model, ModelInfo, Report, Split
from services.families.digits.data import CLASSES
from services.families.digits.network import build, vary
from services.families.digits.payload import FIELD, PIXELS, read_pictures
from services.families.digits.placing import place

_MAX_BATCH = 1024
_MAX_HIDDEN = 4096
_EVALUATED = 256
SIGNATURE = Signature(
    inputs=(Field(FIELD, "tensor", dtype="float32", shape=(-1, PIXELS)),),
    outputs=(
        Field("predictions", "tensor", dtype="int64", shape=(-1,)),
        Field("probabilities", "tensor", dtype="float32", shape=(-1, CLASSES)),
    ),
)


@dataclass(slots=True)
class Prepared:
    """Placed pictures, float32 [N, 1, 28, 28], and whether the answer is for just one."""

    pictures: NDArray[np.float32]
    single: bool


class DigitsModel(Model):
    """Says which digit a picture of 784 pixels shows."""

    signature = SIGNATURE
    max_batch = _MAX_BATCH
    arrays = True

    def __init__(self, artifact: Artifact, settings: Settings) -> None:
        hidden = artifact.config.get("hidden_size")
        if not isinstance(hidden, int) or not 1 <= hidden <= _MAX_HIDDEN:
            raise CheckpointError(
                "The model's configuration does not describe its network.",
                where="hidden_size",
                expected=f"a whole number from 1 to {_MAX_HIDDEN}",
            )
        self._max_rows = settings.max_rows
        self._network = build(hidden).eval().requires_grad_(False)
        _torch.load(self._network, artifact.folder)
        self.info = ModelInfo(
            name=artifact.name,
            version=artifact.version,
            family="digits",
            task="image-classification",
            device="cpu",
            memory_bytes=_torch.memory(self._network),
            details={"hidden_size": hidden},
        )

    def preprocess(self, payload: Any) -> Prepared:
        """Read `image` (784 numbers) or `inputs` (several) and place each digit as in MNIST.

        Raises:
            InvalidInputError: which pixel is wrong, and what was expected.
        """
        pictures, single = read_pictures(payload, self._max_rows)
        return Prepared(np.stack([place(picture) for picture in pictures])[:, None], single)

    def infer(self, batch: Sequence[Prepared]) -> list[NDArray[np.float32]]:
        """Return probabilities, float32 [N, 10], for each payload."""
        if len(batch) == 1:
            return [_torch.probabilities(self._network, batch[0].pictures)]
        pictures = np.concatenate([prepared.pictures for prepared in batch])
        ends = np.cumsum([self.rows(prepared) for prepared in batch])[:-1]
        return np.split(_torch.probabilities(self._network, pictures), ends)

    def postprocess(self, prepared: Prepared, raw: NDArray[np.float32]) -> dict[str, Any]:
        """Return the digit and its probability, or lists of them for `inputs`."""
        found = raw.argmax(axis=1)
        if prepared.single:
            return {
                "prediction": int(found[0]),
                "confidence": float(raw[0, found[0]]),
                "probabilities": raw[0].tolist(),
            }
        return {
            "predictions": found.tolist(),
            "probabilities": raw.tolist(),
            "classes": list(range(CLASSES)),
        }

    def rows(self, prepared: Prepared) -> int:
        """Return the number of pictures."""
        return len(prepared.pictures)

    def cache_key(self, prepared: Prepared) -> bytes:
        """Return the placed pixels, and the form of the answer."""
        return (b"1" if prepared.single else b"n") + prepared.pictures.tobytes()

    def confidences(self, output: Mapping[str, Any]) -> list[float]:
        """Return the probability of each digit that was answered."""
        if "confidence" in output:
            return [output["confidence"]]
        return [max(row) for row in output["probabilities"]]

    def warm(self) -> None:
        """Run one picture and many, for each takes its own way through torch."""
        for count in (1, 64):
            blank = np.zeros((count, 1, *place(np.zeros((1, 1), np.float32)).shape), np.float32)
            self.infer([Prepared(blank, count == 1)])

    def close(self) -> None:
        """Give back the network's memory."""
        del self._network


def fit(split: Split, params: Mapping[str, Any], seed: int, report: Report) -> Fitted:
    """Train on a split of `data.py` (see `TrainableFamily.fit`)."""
    images, labels = split.train
    placed = np.stack([place(image.astype(np.float32)) for image in images])
    hidden = int(params["hidden_size"])
    network = _torch.train(
        partial(build, hidden),
        torch.from_numpy(placed)[:, None],
        torch.from_numpy(labels.astype(np.int64)),
        _torch.Recipe.of(params, seed),
        vary,
        report,
    )

    def save(folder: Path) -> None:
        _torch.save(network, folder)

    example = (split.held_out[0][0].reshape(-1) / 255).round(3).tolist()
    return Fitted(save, SIGNATURE, {FIELD: example}, {"hidden_size": hidden})


def evaluate(model: Model, held_out: Any) -> dict[str, float]:
    """Judge a model as it is served (see `TrainableFamily.evaluate`)."""
    images, labels = held_out
    found: list[int] = []
    for start in range(0, len(images), _EVALUATED):
        batch = [model.preprocess({FIELD: image}) for image in images[start : start + _EVALUATED]]
        answers = map(model.postprocess, batch, model.infer(batch))
        found += [answer["prediction"] for answer in answers]
    return _torch.scores(labels, found)
