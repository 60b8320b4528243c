"""Two small families for the gateway's tests: one that adds numbers, one that names colours."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from services.core.errors import InvalidInputError
from services.core.images import ImageLimits, decode_image
from services.core.settings import Settings
from services.core.signature import Field, Signature
from services.families.base import Artifact, Family, Model, ModelInfo, Picture

EXAMPLE = {"features": [1.0, 2.0]}


class Adder(Model):
    """Adds numbers; breaks on 13, and answers 14 with what is no JSON."""

    signature = Signature((Field("x", "double"), Field("y", "double", required=False)))
    max_batch = 8

    def __init__(self, name: str) -> None:
        self.info = ModelInfo(name, "7", "adder", "arithmetic", "cpu", 64, {"classes": [0, 1]})

    def preprocess(self, payload: Any) -> list[list[float]]:
        rows = payload["inputs"] if "inputs" in payload else [payload.get("features")]
        fine = isinstance(rows, list) and all(
            isinstance(row, list) and all(type(value) in (int, float) for value in row)
            for row in rows
        )
        if not fine:
            raise InvalidInputError("These are no rows.", where="features", expected="numbers")
        return [[float(value) for value in row] for row in rows]

    def infer(self, batch: Sequence[list[list[float]]]) -> list[list[float]]:
        if any(row == [13.0] for rows in batch for row in rows):
            raise RuntimeError("/secret/path")
        return [[sum(row) for row in rows] for rows in batch]

    def postprocess(self, prepared: Any, raw: list[float]) -> Mapping[str, Any]:
        return {"predictions": [object()] if raw == [14.0] else raw}


class AdderFamily(Family):
    """Comes with one version, under a name of the test's choice."""

    name = "adder"
    task = "arithmetic"
    model_name = "adder"
    field = "features"

    def __init__(self, registered: str = "adder") -> None:
        self.registered = registered

    def builtin(self, settings: Settings) -> Artifact:
        return Artifact("adder", self.registered, "7", Path(), example=EXAMPLE)

    def open(self, artifact: Artifact, settings: Settings) -> Model:
        return Adder(artifact.name)


class Colours(Model):
    """Names the strongest of three channels."""

    info = ModelInfo("colours", "1", "colours", "classification", "cpu", 64)

    def __init__(self, limits: ImageLimits) -> None:
        self.limits = limits

    def preprocess(self, payload: Picture) -> Any:
        return decode_image(payload.data, self.limits)

    def infer(self, batch: Sequence[Any]) -> list[Any]:
        return [np.array(cv2.mean(picture)[:3]) for picture in batch]

    def postprocess(self, prepared: Any, raw: Any) -> Mapping[str, Any]:
        shares = raw / max(raw.sum(), 1e-9)
        best = int(shares.argmax())
        return {
            "class": ColourFamily.labels[best],
            "confidence": float(shares[best]),
            "probabilities": dict(zip(ColourFamily.labels, shares.tolist(), strict=True)),
        }


class ColourFamily(Family):
    """Takes the files of `POST /predict`."""

    name = "colours"
    task = "classification"
    model_name = "colours"
    takes = "picture"
    file = True
    labels = ("blue", "green", "red")

    def builtin(self, settings: Settings) -> Artifact:
        return Artifact("colours", "colours", "1", Path())

    def open(self, artifact: Artifact, settings: Settings) -> Model:
        return Colours(ImageLimits.from_settings(settings))
