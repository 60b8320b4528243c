"""Arithmetic on boxes: xyxy in pixels, float32, shape [N, 4].

Source of the encoding: Girshick et al. 2014 (R-CNN), with Detectron2's clamp on sizes.
"""

import math

import torch
from torch import Tensor

# A predicted side is at most 1000/16 times its anchor's, so that exp() cannot overflow.
_MAX_LOG_SCALE = math.log(1000.0 / 16.0)
Weights = tuple[float, float, float, float]


def decode_boxes(deltas: Tensor, boxes: Tensor, weights: Weights) -> Tensor:
    """Apply predicted deltas (dx, dy, dw, dh) [N, 4] to boxes [N, 4]; the result is float32."""
    boxes = boxes.float()
    deltas = deltas.float() / deltas.new_tensor(weights, dtype=torch.float32)
    sizes = boxes[:, 2:] - boxes[:, :2]
    centers = boxes[:, :2] + 0.5 * sizes
    centers = deltas[:, :2] * sizes + centers
    half = 0.5 * torch.exp(deltas[:, 2:].clamp(max=_MAX_LOG_SCALE)) * sizes
    return torch.cat((centers - half, centers + half), dim=1)


def encode_boxes(targets: Tensor, boxes: Tensor, weights: Weights) -> Tensor:
    """Return the deltas [N, 4] that `decode_boxes` would turn `boxes` into `targets` with."""
    sizes = boxes[:, 2:] - boxes[:, :2]
    target_sizes = targets[:, 2:] - targets[:, :2]
    shift = (targets[:, :2] + 0.5 * target_sizes - boxes[:, :2] - 0.5 * sizes) / sizes
    deltas = torch.cat((shift, torch.log(target_sizes / sizes)), dim=1)
    return deltas * deltas.new_tensor(weights)


def clip_boxes(boxes: Tensor, height: float, width: float) -> Tensor:
    """Clip boxes to an image of the given size in pixels."""
    limit = boxes.new_tensor((width, height, width, height))
    return torch.minimum(boxes.clamp(min=0), limit)


def nonempty(boxes: Tensor) -> Tensor:
    """Tell which boxes have positive width and height: bool [N]."""
    return (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
