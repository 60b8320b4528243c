"""From a decoded picture to the network's input, and from its output back to the picture."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from services.families.cutler.config import CutlerConfig
from services.families.cutler.network import Detections
from services.families.cutler.schema import RawInstances


def resized_shape(height: int, width: int, min_size: int, max_size: int) -> tuple[int, int]:
    """Return the (height, width) with the shortest side `min_size`, the longest <= `max_size`."""
    scale = min_size / min(height, width)
    new_height, new_width = height * scale, width * scale
    if max(new_height, new_width) > max_size:
        shrink = max_size / max(new_height, new_width)
        new_height, new_width = new_height * shrink, new_width * shrink
    # A very long picture must keep at least a pixel of its short side.
    return max(1, int(new_height + 0.5)), max(1, int(new_width + 0.5))


def network_input(image: NDArray[np.uint8], config: CutlerConfig) -> Tensor:
    """Resize a BGR picture [H, W, 3] as Detectron2 does and return uint8 [3, H', W'].

    Pillow's bilinear filter, which averages when it shrinks, is part of what the weights were
    trained on; OpenCV's is not the same.
    """
    height, width = image.shape[:2]
    height, width = resized_shape(height, width, config.min_size, config.max_size)
    pixels = image[:, :, ::-1] if config.rgb else image
    if (height, width) != image.shape[:2]:
        picture = Image.fromarray(np.ascontiguousarray(pixels))
        pixels = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def to_picture(found: Detections, tensor: torch.Tensor, size: tuple[int, ...]) -> RawInstances:
    """Scale detections from the network's input to a picture of `size` (height, width)."""
    height, width = size[:2]
    scale = np.array([width / tensor.shape[2], height / tensor.shape[1]] * 2, dtype=np.float32)
    limit = np.array([width, height] * 2, dtype=np.float32)
    boxes = np.clip(found.boxes.float().cpu().numpy() * scale, 0, limit)
    filled = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return RawInstances(
        boxes[filled],
        found.scores.float().cpu().numpy()[filled],
        found.masks.float().cpu().numpy()[filled],
    )
