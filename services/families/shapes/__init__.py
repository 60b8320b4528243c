"""Geometric shapes: a picture in, the name of the shape that it shows out."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.families._picture_packing import PicturePacking
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


class ShapesFamily(PicturePacking, TrainableFamily):
    """A small convolutional network, trained on generated drawings or on a folder of pictures."""

    name = "shapes"
    task = "image-classification"
    model_name = "custom_cnn"
    file = True
    takes = "picture"
    labels = (
        "circle",
        "square",
        "triangle",
        "rectangle",
        "pentagon",
        "hexagon",
        "star",
        "ellipse",
        "heart",
        "cross",
        "arrow",
        "crescent",
    )
    experiment = "ml-geometry"
    cost = 45.0
    parameters = (
        Parameter("learning_rate", 0.006, "Highest learning rate.", 1e-4, 3e-2, log=True),
        Parameter("epochs", 6, "Passes over the data.", 1, 200, tune=False),
        Parameter("batch_size", 64, "Pictures of one step.", 8, 1024, log=True),
        Parameter(
            "drawings", 5000, "How many to generate, without --data.", 24, 1_000_000, tune=False
        ),
        Parameter("turn", True, "Learn from turned and mirrored pictures too.", tune=False),
    )

    def open(self, artifact: Artifact, settings: "Settings") -> Model:
        """Load a network that `fit` made."""
        from services.families.shapes.model import ShapesModel

        return ShapesModel(artifact, settings)

    def read(self, source: Path | None, params: Mapping[str, Any]) -> Split:
        """Read a folder of folders named after what their pictures show; None: draw pictures."""
        from services.families.shapes import data

        if source is not None:
            return data.read(source)
        return data.generated(int((self.defaults() | dict(params))["drawings"]))

    def fit(self, split: Split, params: Mapping[str, Any], seed: int, report: Report) -> Fitted:
        """Train; one thread of the processor does it all."""
        from services.families.shapes.model import fit

        return fit(split, self.defaults() | dict(params), seed, report)

    def evaluate(self, model: Model, held_out: Any) -> dict[str, float]:
        """Return `accuracy`, and `precision`, `recall` and `f1` as means over the shapes."""
        from services.families.shapes.model import evaluate

        return evaluate(model, held_out)


FAMILY = ShapesFamily()
