"""Handwritten digits: 784 pixels in, one of ten digits out."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.families.base import (
    Artifact,
    Fitted,
    Model,
    Parameter,
    Report,
    Split,
    TrainableFamily,
)

if TYPE_CHECKING:
    from services.core.settings import Settings


class DigitsFamily(TrainableFamily):
    """A small convolutional network, trained on scikit-learn's digits or on files of MNIST."""

    name = "digits"
    task = "image-classification"
    model_name = "MNISTClassifier"
    field = "image"
    labels = tuple(str(digit) for digit in range(10))
    experiment = "MNIST_Experiments"
    cost = 10.0
    parameters = (
        Parameter("learning_rate", 0.003, "Highest learning rate.", 1e-4, 3e-2, log=True),
        Parameter("epochs", 20, "Passes over the data.", 1, 200, tune=False),
        Parameter("batch_size", 64, "Pictures of one step.", 8, 1024, log=True),
        Parameter("hidden_size", 128, "Width of the hidden layer.", 8, 1024, log=True),
    )

    def open(self, artifact: Artifact, settings: "Settings") -> Model:
        """Load a network that `fit` made."""
        from services.families.digits.model import DigitsModel

        return DigitsModel(artifact, settings)

    def read(self, source: Path | None, params: Mapping[str, Any]) -> Split:
        """Read MNIST's files from a folder or an `.npz`; None: scikit-learn's digits."""
        from services.families.digits import data

        return data.bundled() if source is None else data.read(source)

    def fit(self, split: Split, params: Mapping[str, Any], seed: int, report: Report) -> Fitted:
        """Train; one thread of the processor does it all."""
        from services.families.digits.model import fit

        return fit(split, self.defaults() | dict(params), seed, report)

    def evaluate(self, model: Model, held_out: Any) -> dict[str, float]:
        """Return `accuracy`, and `precision`, `recall` and `f1` as means over the digits."""
        from services.families.digits.model import evaluate

        return evaluate(model, held_out)


FAMILY = DigitsFamily()
