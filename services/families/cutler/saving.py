"""Weights and a configuration on their way into the registry."""

import shutil
from pathlib import Path

import cv2
import numpy as np

from services.core.signature import Field, Signature
from services.families._pictures import FILE, example
from services.families.base import Fitted
from services.families.cutler.config import flattened, load_config
from services.families.cutler.files import CONFIG, WEIGHTS

SIGNATURE = Signature(
    inputs=(FILE,),
    outputs=(Field("success", "boolean"), Field("num_instances", "long")),
)


def fitted(weights: Path, config: Path) -> Fitted:
    """Return a checkpoint as a model that can be saved.

    Args:
        weights: a `.pth`, `.pt` or `.pkl` file; opening what was saved checks that it fits.
        config: its Detectron2 YAML; the files that `_BASE_` names are merged into what is saved.

    Raises:
        ConfigurationError: the configuration cannot be read or describes another architecture.
    """
    load_config(config)
    name = Path(WEIGHTS).stem + weights.suffix

    def save(folder: Path) -> None:
        shutil.copyfile(weights, folder / name)
        (folder / CONFIG).write_text(flattened(config), encoding="utf-8")

    names = {"weights": name, "config": CONFIG}
    return Fitted(save, SIGNATURE, example(_coins()), names)


def _coins() -> bytes:
    """A small picture with a few discs in it."""
    picture = np.full((120, 160, 3), 40, np.uint8)
    for x, y, radius in ((40, 40, 22), (110, 50, 28), (70, 90, 16)):
        cv2.circle(picture, (x, y), radius, (90, 170, 210), -1, cv2.LINE_AA)
    return cv2.imencode(".png", picture)[1].tobytes()
