"""Input and output of the CutLER family."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.families.base import Picture

if TYPE_CHECKING:
    # A family is found without it, in every command.
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SegmentationInput(Picture):
    """One picture to segment, and what is wanted; a plain `Picture` takes the defaults.

    Attributes:
        data: the encoded file (JPEG, PNG or WEBP), exactly as uploaded.
        threshold: instances scored above it are returned, 0 to 1; None takes the model's default.
        want_image: draw the instances and return the picture as JPEG.
        want_masks: return a COCO RLE mask for each instance.
    """

    threshold: float | None = None
    want_image: bool = True
    want_masks: bool = True


@dataclass(frozen=True, slots=True)
class Rle:
    """A COCO run-length mask: `size` is (height, width), `counts` the compressed ASCII string."""

    size: tuple[int, int]
    counts: str


@dataclass(frozen=True, slots=True)
class Instance:
    """One object. Box is x0, y0, x1, y1 in pixels of the upright image; area in pixels."""

    box: tuple[float, float, float, float]
    score: float
    area: int
    mask: Rle | None


@dataclass(frozen=True, slots=True)
class Segmentation:
    """Every object found in a picture, by descending score.

    Attributes:
        size: (height, width) of the upright image in pixels.
        instances: the objects above the threshold.
        image: annotated picture as JPEG bytes, if asked for.
    """

    size: tuple[int, int]
    instances: tuple[Instance, ...]
    image: bytes | None


@dataclass(frozen=True, slots=True)
class RawInstances:
    """What the network found, before masks are pasted.

    Attributes:
        boxes: float32 [N, 4], xyxy in pixels of the upright image.
        scores: float32 [N], descending.
        masks: float32 [N, M, M], mask probabilities inside each box (M = 28).
    """

    boxes: "NDArray[np.float32]"
    scores: "NDArray[np.float32]"
    masks: "NDArray[np.float32]"
