"""Region proposal network: where an object may be, and how big.

Source: Ren et al. 2015 (Faster R-CNN) on a feature pyramid; anchors and selection as Detectron2.
"""

import math

import torch
from torch import Tensor, nn
from torchvision.ops import batched_nms

from services.families.cutler.backbone import STRIDES
from services.families.cutler.boxes import clip_boxes, decode_boxes, nonempty
from services.families.cutler.config import RpnConfig
from services.families.cutler.layers import Conv2d


class RpnHead(nn.Module):
    """Objectness and box deltas of every anchor; shared by all levels."""

    def __init__(self, channels: int, anchors: int) -> None:
        super().__init__()
        self.conv = Conv2d(channels, channels, 3, relu=True)
        self.objectness_logits = nn.Conv2d(channels, anchors, 1)
        self.anchor_deltas = nn.Conv2d(channels, 4 * anchors, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map [N, C, H, W] to logits [N, H*W*A] and deltas [N, H*W*A, 4], float32."""
        hidden = self.conv(x)
        logits = self.objectness_logits(hidden).permute(0, 2, 3, 1).flatten(1)
        deltas = self.anchor_deltas(hidden).permute(0, 2, 3, 1)
        return logits.float(), deltas.reshape(deltas.shape[0], -1, 4).float()


class Rpn(nn.Module):
    """Proposals from pyramid maps. Holds no anchors: they follow from the map sizes."""

    def __init__(self, channels: int, config: RpnConfig) -> None:
        super().__init__()
        self.config = config
        sizes = _per_level(config.anchor_sizes)
        ratios = _per_level(config.aspect_ratios)
        self.cells = [_cell_anchors(s, r) for s, r in zip(sizes, ratios, strict=True)]
        self.rpn_head = RpnHead(channels, len(self.cells[0]))

    def predict(self, features: list[Tensor]) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Return (logits [N, K], deltas [N, K, 4], anchors [K, 4]) for each level."""
        outputs = []
        for level, feature in enumerate(features):
            logits, deltas = self.rpn_head(feature)
            outputs.append((logits, deltas, self.anchors(level, feature)))
        return outputs

    def anchors(self, level: int, feature: Tensor) -> Tensor:
        """Return the anchors [H*W*A, 4] of one level's map [N, C, H, W]."""
        height, width = feature.shape[-2:]
        device, stride = feature.device, STRIDES[level]
        offset = self.config.anchor_offset * stride
        x = torch.arange(width, device=device, dtype=torch.float32) * stride + offset
        y = torch.arange(height, device=device, dtype=torch.float32) * stride + offset
        grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
        shifts = torch.stack((grid_x, grid_y, grid_x, grid_y), dim=-1).reshape(-1, 1, 4)
        return (shifts + self.cells[level].to(device)).reshape(-1, 4)

    def select(
        self,
        outputs: list[tuple[Tensor, Tensor, Tensor]],
        image: int,
        size: tuple[int, int],
        limits: tuple[int, int] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Choose the proposals of one image of the batch.

        Args:
            outputs: what `predict` returned.
            image: index in the batch.
            size: (height, width) of that image in pixels, without padding.
            limits: (candidates per level before NMS, proposals after); None: as configured.

        Returns:
            Boxes [P, 4] and objectness logits [P], by descending logit.
        """
        pre_nms, post_nms = limits or (self.config.pre_nms_topk, self.config.post_nms_topk)
        boxes, scores, levels = [], [], []
        for level, (logits, deltas, anchors) in enumerate(outputs):
            # Choosing before decoding gives the same boxes for a tenth of the arithmetic.
            top, index = logits[image].topk(min(pre_nms, logits.shape[1]))
            decoded = decode_boxes(deltas[image][index], anchors[index], self.config.box_weights)
            boxes.append(decoded)
            scores.append(top)
            levels.append(torch.full_like(index, level))
        box, score, level_ids = torch.cat(boxes), torch.cat(scores), torch.cat(levels)
        finite = torch.isfinite(box).all(dim=1) & torch.isfinite(score)
        box = clip_boxes(box, *size)
        valid = finite & nonempty(box)
        box, score, level_ids = box[valid], score[valid], level_ids[valid]
        kept = batched_nms(box, score, level_ids, self.config.nms_threshold)[:post_nms]
        return box[kept], score[kept]


def _cell_anchors(sizes: tuple[float, ...], ratios: tuple[float, ...]) -> Tensor:
    """Anchors round the origin [A, 4]; a ratio is height / width at constant area."""
    anchors = []
    for size in sizes:
        for ratio in ratios:
            width = math.sqrt(size * size / ratio)
            height = ratio * width
            anchors.append((-width / 2, -height / 2, width / 2, height / 2))
    return torch.tensor(anchors)


def _per_level(values: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
    return values * len(STRIDES) if len(values) == 1 else values
