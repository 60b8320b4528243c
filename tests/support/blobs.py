"""A small family that really segments: bright blobs on a dark ground, by connected components.

It stands in for a network where the gateway and the engine are tested, because its speed can be
controlled: `gate` runs inside every `infer`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from services.core.images import ImageLimits, decode_image
from services.core.settings import Settings
from services.families.base import Artifact, Family, Model, ModelInfo, Picture
from services.families.cutler.schema import Instance, Rle, Segmentation, SegmentationInput
from tests.support.patience import PATIENCE

_BRIGHT = 128


def no_wait() -> None:
    """Let `infer` run at once."""


@dataclass(frozen=True)
class Prepared:
    request: SegmentationInput
    image: NDArray[np.uint8]


@dataclass
class BlobModel(Model):
    """Finds bright blobs; the score of each is its mean brightness."""

    limits: ImageLimits
    threshold: float
    gate: Callable[[], None] = no_wait
    info: ModelInfo = field(
        default_factory=lambda: ModelInfo(
            "blobs", "1", "blobs", "instance-segmentation", "cpu", 1024, {"bright": _BRIGHT}
        )
    )
    inferred: int = 0
    closed: bool = False

    def preprocess(self, payload: SegmentationInput | Picture) -> Prepared:
        if not isinstance(payload, SegmentationInput):
            payload = SegmentationInput(payload.data)
        return Prepared(payload, decode_image(payload.data, self.limits))

    def infer(self, batch: Sequence[Prepared]) -> list[tuple[Any, Any]]:
        self.gate()
        self.inferred += 1
        return [self._find(prepared) for prepared in batch]

    def _find(self, prepared: Prepared) -> tuple[Any, Any]:
        grey = cv2.cvtColor(prepared.image, cv2.COLOR_BGR2GRAY)
        bright = (grey >= _BRIGHT).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(bright)
        masks = [labels == number for number in range(1, count)]
        return masks, [(stats[n], float(grey[labels == n].mean()) / 255) for n in range(1, count)]

    def postprocess(self, prepared: Prepared, raw: Any) -> Segmentation:
        wanted = prepared.request.threshold
        threshold = self.threshold if wanted is None else wanted
        instances = [
            _instance(mask, stats, score, prepared.request.want_masks)
            for mask, (stats, score) in zip(*raw, strict=True)
            if score >= threshold
        ]
        instances.sort(key=lambda found: -found.score)
        image = None
        if prepared.request.want_image:
            image = cv2.imencode(".jpg", prepared.image)[1].tobytes()
        height, width = prepared.image.shape[:2]
        return Segmentation((height, width), tuple(instances), image)

    def confidences(self, output: Segmentation) -> list[float]:
        return [instance.score for instance in output.instances]

    def warm(self) -> None:
        return

    def close(self) -> None:
        self.closed = True


def _instance(mask: Any, stats: Any, score: float, want_mask: bool) -> Instance:
    x, y, width, height, area = (int(value) for value in stats[:5])
    encoded = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    size = (int(encoded["size"][0]), int(encoded["size"][1]))
    rle = Rle(size, encoded["counts"].decode()) if want_mask else None
    return Instance((x, y, x + width, y + height), score, area, rle)


class BlobFamily(Family):
    """Opens a `BlobModel`, after `before_load` has run."""

    name = "blobs"
    task = "instance-segmentation"
    model_name = "blobs"
    takes = "picture"

    def __init__(
        self, gate: Callable[[], None] = no_wait, before_load: Callable[[], None] = no_wait
    ) -> None:
        self.gate = gate
        self.before_load = before_load
        self.model: BlobModel | None = None

    def builtin(self, settings: Settings) -> Artifact:
        return Artifact("blobs", "blobs", "1", Path(__file__).parent)

    def open(self, artifact: Artifact, settings: Settings) -> Model:
        self.before_load()
        limits = ImageLimits.from_settings(settings)
        self.model = BlobModel(limits, settings.cutler_threshold, self.gate)
        return self.model


def wait_while(path: Path) -> Callable[[], None]:
    """Return a gate that is shut as long as a file exists; works across processes."""

    def gate() -> None:
        until = time.monotonic() + PATIENCE
        while path.exists() and time.monotonic() < until:
            time.sleep(0.01)

    return gate
