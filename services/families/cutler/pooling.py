"""RoIAlign over a feature pyramid.

Sources: He et al. 2017 (RoIAlign, Mask R-CNN); Lin et al. 2017, eq. 1 (which level serves which
box); half-pixel alignment as Detectron2's ROIAlignV2.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import roi_align

from services.families.cutler.backbone import STRIDES

_CANONICAL_SIZE = 224.0
_CANONICAL_LEVEL = 4
_POOLED_LEVELS = 4  # p2 to p5

# (map [N, C, H, W], regions [P, 5] as (image, x0, y0, x1, y1) in input pixels, resolution,
# scale, sampling ratio) to [P, C, resolution, resolution]
Align = Callable[[Tensor, Tensor, int, float, int], Tensor]


def torchvision_align(
    feature: Tensor, regions: Tensor, resolution: int, scale: float, ratio: int
) -> Tensor:
    """RoIAlign by torchvision: the yardstick, and the faster one on a GPU."""
    # Its CPU kernel knows neither bfloat16 nor autocast.
    out: Tensor = roi_align(feature.float(), regions, resolution, scale, ratio, aligned=True)
    return out


def gather_align(
    feature: Tensor, regions: Tensor, resolution: int, scale: float, ratio: int
) -> Tensor:
    """RoIAlign as a weighted sum of channel vectors, by `embedding_bag`.

    The same arithmetic as torchvision's, which on a CPU runs on one thread and walks through
    memory channel by channel. Here every sample reads whole channel vectors of a channels-last
    map, on all threads: 5 to 10 times as fast forwards, 6 times backwards (two threads, 256
    channels).
    """
    _, channels, height, width = feature.shape
    table = feature.permute(0, 2, 3, 1).reshape(-1, channels).float()
    corners = regions[:, 1:].float() * scale - 0.5
    columns, across = _taps(corners[:, 0], corners[:, 2], resolution, ratio, width)
    rows, down = _taps(corners[:, 1], corners[:, 3], resolution, ratio, height)
    rows = rows + (regions[:, 0].long() * height)[:, None, None]
    bags = len(regions) * resolution * resolution
    index = (rows[:, :, None, :, None] * width + columns[:, None, :, None, :]).reshape(bags, -1)
    weight = (down[:, :, None, :, None] * across[:, None, :, None, :]).reshape(bags, -1)
    if ratio > 0:
        pooled = F.embedding_bag(index, table, mode="sum", per_sample_weights=weight)
    else:
        # Bags were padded to the largest region of the batch: drop the taps without weight.
        used = weight > 0
        ends = used.sum(dim=1).cumsum(0)
        starts = torch.cat((ends.new_zeros(1), ends[:-1]))
        taken = used.flatten().nonzero().squeeze(1)
        pooled = F.embedding_bag(
            index.flatten()[taken],
            table,
            starts,
            mode="sum",
            per_sample_weights=weight.flatten()[taken],
        )
    return pooled.view(-1, resolution, resolution, channels).permute(0, 3, 1, 2)


def _taps(
    start: Tensor, end: Tensor, resolution: int, ratio: int, length: int
) -> tuple[Tensor, Tensor]:
    """Return which pixels, and with what weight, make each bin along one axis.

    Args:
        start, end: borders of the regions [P] in map pixels.
        resolution: bins a region.
        ratio: samples a bin; 0: one for every started pixel of the bin.
        length: size of the map along this axis.

    Returns:
        Pixel indexes int64 and weights float32, both [P, resolution, 2 * samples].
    """
    extent = (end - start) / resolution
    samples = torch.full_like(extent, ratio) if ratio > 0 else extent.ceil().clamp(min=1)
    most = int(samples.max()) if len(samples) else 1
    bins = torch.arange(resolution, device=start.device, dtype=torch.float32)
    steps = torch.arange(most, device=start.device, dtype=torch.float32)
    spacing = (extent / samples)[:, None, None]
    position = start[:, None, None] + bins[None, :, None] * extent[:, None, None]
    position = position + (steps + 0.5) * spacing
    inside = (steps < samples[:, None, None]) & (position >= -1) & (position <= length)
    position = position.clamp(min=0, max=length - 1)
    low = position.floor()
    share = position - low
    high = (low + 1).clamp(max=length - 1)
    weight = inside / samples[:, None, None]
    index = torch.cat((low, high), dim=2).long()
    return index, torch.cat((weight * (1 - share), weight * share), dim=2)


def assign_levels(boxes: Tensor) -> Tensor:
    """Return for each box [N, 4] the index (0 for p2 to 3 for p5) of the map that serves it."""
    sides = torch.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    levels = torch.floor(_CANONICAL_LEVEL + torch.log2(sides / _CANONICAL_SIZE + 1e-8))
    return levels.clamp(min=2, max=2 + _POOLED_LEVELS - 1).long() - 2


def pool_regions(
    features: list[Tensor],
    boxes: list[Tensor],
    resolution: int,
    sampling_ratio: int,
    align: Align = gather_align,
) -> Tensor:
    """Crop every box out of the pyramid at a fixed resolution, differentiably.

    Args:
        features: maps p2, p3, ... of shape [N, C, H_l, W_l].
        boxes: for each of the N images, boxes [P_i, 4] in input pixels.
        resolution: side of the crop in bins.
        sampling_ratio: samples per bin and axis; 0 adapts to the size of the box.
        align: which RoIAlign to use.

    Returns:
        float32 [sum of P_i, C, resolution, resolution], in the order of the boxes.
    """
    flat = torch.cat(boxes)
    owner = torch.cat([b.new_full((len(b), 1), i) for i, b in enumerate(boxes)])
    regions = torch.cat((owner, flat), dim=1)
    levels = assign_levels(flat)
    pooled, order = [], []
    for level in range(_POOLED_LEVELS):
        chosen = (levels == level).nonzero().squeeze(1)
        if len(chosen) > 0:
            scale = 1.0 / STRIDES[level]
            part = align(features[level], regions[chosen], resolution, scale, sampling_ratio)
            pooled.append(part)
            order.append(chosen)
    if not pooled:
        return flat.new_zeros((0, features[0].shape[1], resolution, resolution))
    if len(pooled) == 1:
        return pooled[0]
    return torch.cat(pooled)[torch.cat(order).argsort()]
