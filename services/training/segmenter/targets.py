"""Which anchor or proposal should learn which object.

Sources: Ren et al. 2015 (anchor matching and sampling); Cai and Vasconcelos 2018 (a stricter match
for each stage of the cascade).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import box_iou, roi_align

BACKGROUND, IGNORED = -1, -2


@dataclass(frozen=True, slots=True)
class Target:
    """The objects of one scene: boxes float32 [N, 4] (xyxy), masks uint8 [N, H, W]."""

    boxes: Tensor
    masks: Tensor


def match(boxes: Tensor, truth: Tensor, low: float, high: float, rescue: bool = False) -> Tensor:
    """Assign each box [P, 4] the index of an object, BACKGROUND or IGNORED: int64 [P].

    Args:
        boxes: anchors or proposals.
        truth: boxes of the objects [N, 4].
        low: below this IoU a box is background.
        high: from this IoU on it belongs to its best object; in between it is ignored.
        rescue: give every object at least the anchors that overlap it most.
    """
    if len(truth) == 0:
        return torch.full((len(boxes),), BACKGROUND)
    overlap = box_iou(boxes, truth)
    best, index = overlap.max(dim=1)
    matched = torch.where(best >= high, index, IGNORED)
    matched = torch.where(best < low, BACKGROUND, matched)
    if rescue:
        top = overlap.max(dim=0).values.clamp(min=1e-6)
        rows = (overlap >= top[None] - 1e-6).nonzero()[:, 0]
        matched[rows] = index[rows]
    return matched


def sample(matched: Tensor, count: int, share: float) -> tuple[Tensor, Tensor]:
    """Draw at most `count` boxes, at most `share` of them objects: (objects, background)."""
    positive = (matched >= 0).nonzero().squeeze(1)
    negative = (matched == BACKGROUND).nonzero().squeeze(1)
    positive = positive[torch.randperm(len(positive))[: int(count * share)]]
    negative = negative[torch.randperm(len(negative))[: count - len(positive)]]
    return positive, negative


def mask_targets(target: Target, index: Tensor, boxes: Tensor, side: int) -> Tensor:
    """Return what the mask head should say: coverage 0..1 of each bin, float32 [P, side, side].

    A fraction where the outline crosses a bin places the outline between bins, which a hard
    0/1 target cannot.
    """
    rois = torch.cat((index[:, None].float(), boxes), dim=1)
    masks = target.masks[:, None].float()
    covered: Tensor = roi_align(masks, rois, side, 1.0, sampling_ratio=2, aligned=True)
    return covered[:, 0]
