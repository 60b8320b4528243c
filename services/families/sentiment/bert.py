"""The kind with an encoder: a linear head on what a frozen network makes of a text.

A saved model holds the head, and says which encoder it belongs to. The packaged one is not copied
into every version (90 MB each): its name and digest are kept, and a model refuses to open on
another one. Any other encoder is copied into the model, since the folder or the site that it came
from may be gone when the model is served.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from services.core.errors import CheckpointError, ConfigurationError
from services.families.base import Report
from services.families.sentiment import encoder as encoders
from services.families.sentiment.encoder import PACKAGED, Encoder

HEAD = "head.safetensors"
_COPY = "encoder"
# Found by cross-validation on the part of the reviews that is learned from: here confidences are as
# high as answers are right. Ten times as much gives the same accuracy and is too sure of itself.
_STRENGTH = 0.003


@dataclass(frozen=True, slots=True)
class Head:
    """A linear layer: weights [classes, width] and bias [classes], float32."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def __call__(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return probabilities [rows, classes]."""
        logits = (rows @ self.weights.T + self.bias).astype(np.float64)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))


@dataclass(frozen=True, slots=True)
class Trained:
    """What `fit` made, and the encoder's folder."""

    head: Head
    source: Path
    encoder: Mapping[str, Any]

    def save(self, folder: Path) -> None:
        """Write the head, and the encoder's files where they are not the packaged ones."""
        save_file({"weights": self.head.weights, "bias": self.head.bias}, folder / HEAD)
        if self.encoder["name"] != PACKAGED:
            (folder / _COPY).mkdir()
            for path in encoders.files(self.source):
                shutil.copyfile(path, folder / _COPY / path.name)


class EncoderModel:
    """An encoder and a head."""

    title = "BERT"
    max_batch = 64

    def __init__(self, encoder: Encoder, head: Head, name: str) -> None:
        self._encoder, self._head = encoder, head
        self.memory_bytes = encoder.memory_bytes + head.weights.nbytes + head.bias.nbytes
        self.details = {
            "encoder": name, "layers": encoder.layers, "max_length": encoder.max_length
        }  # fmt: skip

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the probability of each class, [texts, classes]."""
        return self._head(self._encoder(texts))

    def close(self) -> None:
        """Give back the memory."""
        del self._encoder


def fit(
    texts: Sequence[str], labels: Sequence[int], params: Mapping[str, Any], report: Report
) -> Trained:
    """Encode the texts, reporting each batch, and fit the head; labels are positions of classes.

    Raises:
        ConfigurationError: the encoder is not there.
    """
    name = params["encoder"].strip()
    folder = encoders.locate(name)
    encoder = Encoder(folder, params["layers"], params["max_length"])
    steps = -(-len(texts) // encoders.BATCH) + 1

    def encoded(count: int) -> None:
        report(-(-count // encoders.BATCH), steps, {"encoded": count})

    rows = encoder(texts, encoded)
    head = _head(rows, np.asarray(labels), _STRENGTH / params["regularisation"])
    right = float((head(rows).argmax(axis=1) == np.asarray(labels)).mean())
    report(steps, steps, {"train_accuracy": right})
    # A folder's path is nobody's business; the copy in the model is what counts.
    known = name == PACKAGED or not Path(name).expanduser().is_dir()
    return Trained(
        head,
        folder,
        {
            "name": name if known else "folder",
            "digest": encoders.digest(folder),
            "layers": encoder.layers,
            "max_length": encoder.max_length,
        },
    )


def _head(rows: NDArray[np.float32], labels: NDArray[np.int64], strength: float) -> Head:
    """Fit on rows of mean 0 and deviation 1, then fold both into the weights."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    scaler = StandardScaler()
    scaled = scaler.fit_transform(rows.astype(np.float64))
    with threadpool_limits(1):
        linear = LogisticRegression(C=strength, max_iter=1000).fit(scaled, labels)
    weights, bias = linear.coef_, linear.intercept_
    if len(weights) == 1:  # two classes: one row, for the second against the first
        weights = np.concatenate([np.zeros_like(weights), weights])
        bias = np.concatenate([np.zeros_like(bias), bias])
    weights = weights / scaler.scale_
    bias = bias - weights @ scaler.mean_
    return Head(weights.astype(np.float32), bias.astype(np.float32))


def open_encoder(folder: Path, config: Mapping[str, Any], classes: int) -> EncoderModel:
    """Read what `Trained.save` wrote.

    Raises:
        CheckpointError: a file is missing, damaged or does not fit.
        ConfigurationError: the packaged encoder is not installed, or is another one.
    """
    try:
        name, wanted = str(config["name"]), str(config["digest"])
        layers, max_length = int(config["layers"]), int(config["max_length"])
    except (KeyError, TypeError, ValueError):
        raise _unfit("config", "the encoder's name, digest, layers and max_length") from None
    source = encoders.locate(PACKAGED) if name == PACKAGED else folder / _COPY
    if encoders.digest(source) != wanted:
        raise ConfigurationError(
            "The encoder is not the one that the model was trained with.",
            where="encoder",
            expected=f"files of the digest {wanted[:12]}…",
        )
    encoder = Encoder(source, layers, max_length)
    return EncoderModel(encoder, _read_head(folder / HEAD, classes, encoder.width), name)


def _read_head(path: Path, classes: int, width: int) -> Head:
    try:
        tensors = load_file(path)
        head = Head(tensors["weights"], tensors["bias"])
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise _unfit(HEAD, "the file that training saved") from error
    shapes = (head.weights.shape, head.bias.shape)
    arrays = (head.weights, head.bias)
    if (
        shapes != ((classes, width), (classes,))
        or any(array.dtype != np.float32 for array in arrays)
        or not all(np.isfinite(array).all() for array in arrays)
    ):
        raise _unfit(HEAD, f"finite float32 weights [{classes}, {width}] and bias [{classes}]")
    return head


def _unfit(where: str, expected: str) -> CheckpointError:
    return CheckpointError("The head cannot be used.", where=where, expected=expected)
