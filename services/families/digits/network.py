"""The network for digits, and how training varies them."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from services.families.digits.data import CLASSES
from services.families.digits.placing import SIDE

_CHANNELS = (16, 32)
_DROPOUT = 0.2
# Turned by up to 12 degrees, sheared, scaled, moved by up to 2 of the 28 pixels.
_TURN = math.radians(12)
_SHEAR = 0.2
_SCALE = 0.15
_SHIFT = 0.15


def build(hidden_size: int) -> nn.Module:
    """Return a network from float32 [N, 1, 28, 28], 0 to 1, to logits [N, 10].

    Strides halve the picture instead of pooling: pooling takes longer than these convolutions.
    """
    first, second = _CHANNELS
    return nn.Sequential(
        nn.Conv2d(1, first, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(first, second, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(second * (SIDE // 4) ** 2, hidden_size),
        nn.ReLU(),
        nn.Dropout(_DROPOUT),
        nn.Linear(hidden_size, CLASSES),
    )


def vary(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Draw the digits [N, 1, 28, 28] again: elsewhere, slanted, with another pen."""
    count = len(pictures)

    def between(low: float, high: float) -> Tensor:
        return torch.rand(count, generator=generator) * (high - low) + low

    turn, shear = between(-_TURN, _TURN), between(-_SHEAR, _SHEAR)
    wide, high = between(1 - _SCALE, 1 + _SCALE), between(1 - _SCALE, 1 + _SCALE)
    matrix = torch.stack(
        (
            torch.stack((turn.cos() / wide, shear - turn.sin(), between(-_SHIFT, _SHIFT)), 1),
            torch.stack((turn.sin(), turn.cos() / high, between(-_SHIFT, _SHIFT)), 1),
        ),
        1,
    )
    grid = F.affine_grid(matrix, list(pictures.shape), align_corners=False)
    moved = F.grid_sample(pictures, grid, align_corners=False)
    # A steep slope makes blurred grey into ink; where it begins makes a thick or a thin pen.
    slope, middle = between(1, 6).reshape(-1, 1, 1, 1), between(0.25, 0.65).reshape(-1, 1, 1, 1)
    inked = torch.sigmoid((moved - middle) * slope * 2)
    floor = torch.sigmoid(-middle * slope * 2)
    ceiling = torch.sigmoid((1 - middle) * slope * 2)
    return (inked - floor) / (ceiling - floor)
