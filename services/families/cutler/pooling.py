"""RoIAlign over a feature pyramid.

Sources: He et al. 2017 (RoIAlign, Mask R-CNN); Lin et al. 2017, eq. 1 (which level serves which
box); half-pixel alignment as Detectron2's ROIAlignV2.
"""

import torch
from torch import Tensor
from torchvision.ops import roi_align

from services.families.cutler.backbone import STRIDES

_CANONICAL_SIZE = 224.0
_CANONICAL_LEVEL = 4
_POOLED_LEVELS = 4  # p2 to p5


def assign_levels(boxes: Tensor) -> Tensor:
    """Return for each box [N, 4] the index (0 for p2 to 3 for p5) of the map that serves it."""
    sides = torch.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    levels = torch.floor(_CANONICAL_LEVEL + torch.log2(sides / _CANONICAL_SIZE + 1e-8))
    return levels.clamp(min=2, max=2 + _POOLED_LEVELS - 1).long() - 2


def pool_regions(
    features: list[Tensor], boxes: list[Tensor], resolution: int, sampling_ratio: int
) -> Tensor:
    """Crop every box out of the pyramid at a fixed resolution, differentiably.

    Args:
        features: maps p2, p3, ... of shape [N, C, H_l, W_l].
        boxes: for each of the N images, boxes [P_i, 4] in input pixels.
        resolution: side of the crop in bins.
        sampling_ratio: samples per bin and axis; 0 adapts to the size of the box.

    Returns:
        [sum of P_i, C, resolution, resolution], in the order of the boxes.
    """
    flat = torch.cat(boxes)
    owner = torch.repeat_interleave(
        torch.arange(len(boxes), device=flat.device),
        torch.tensor([len(b) for b in boxes], device=flat.device),
    )
    rois = torch.cat((owner[:, None].to(flat.dtype), flat), dim=1)
    levels = assign_levels(flat)
    channels = features[0].shape[1]
    # torchvision's CPU kernel knows neither bfloat16 nor autocast.
    output = flat.new_zeros((len(flat), channels, resolution, resolution))
    for level in range(_POOLED_LEVELS):
        chosen = (levels == level).nonzero().squeeze(1)
        if len(chosen) == 0:
            continue
        pooled = roi_align(
            features[level].float(),
            rois[chosen],
            resolution,
            spatial_scale=1.0 / STRIDES[level],
            sampling_ratio=sampling_ratio,
            aligned=True,
        )
        output = output.index_put((chosen,), pooled)
    return output
