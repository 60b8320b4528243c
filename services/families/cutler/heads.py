"""Cascade box heads and the mask head.

Sources: Cai and Vasconcelos 2018 (Cascade R-CNN); He et al. 2017 (Mask R-CNN); parameter names as
Detectron2.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import batched_nms

from services.families.cutler.boxes import clip_boxes
from services.families.cutler.config import HeadConfig
from services.families.cutler.layers import Conv2d


class BoxHead(nn.Module):
    """Fully connected layers on a pooled region."""

    def __init__(self, inputs: int, config: HeadConfig) -> None:
        super().__init__()
        self.depth = config.num_fc
        for index in range(config.num_fc):
            layer = nn.Linear(inputs if index == 0 else config.fc_dim, config.fc_dim)
            self.add_module(f"fc{index + 1}", layer)

    def forward(self, x: Tensor) -> Tensor:
        """Map pooled regions [P, C, R, R] to [P, fc_dim]."""
        x = x.flatten(1)
        for index in range(self.depth):
            x = F.relu_(self.get_submodule(f"fc{index + 1}")(x))
        return x


class BoxPredictor(nn.Module):
    """Class scores (last column: background) and class-agnostic box deltas."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.cls_score = nn.Linear(config.fc_dim, config.num_classes + 1)
        self.bbox_pred = nn.Linear(config.fc_dim, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map [P, fc_dim] to logits [P, classes + 1] and deltas [P, 4], float32."""
        return self.cls_score(x).float(), self.bbox_pred(x).float()


class MaskHead(nn.Module):
    """Convolutions, one upsampling, one mask per class."""

    def __init__(self, channels: int, config: HeadConfig) -> None:
        super().__init__()
        self.depth = config.mask_convs
        dim = config.mask_dim
        for index in range(config.mask_convs):
            conv = Conv2d(channels if index == 0 else dim, dim, 3, relu=True)
            self.add_module(f"mask_fcn{index + 1}", conv)
        self.deconv = nn.ConvTranspose2d(dim if self.depth else channels, dim, 2, stride=2)
        classes = 1 if config.class_agnostic_mask else config.num_classes
        self.predictor = nn.Conv2d(dim, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map pooled regions [P, C, R, R] to mask logits [P, classes or 1, 2R, 2R]."""
        for index in range(self.depth):
            x = self.get_submodule(f"mask_fcn{index + 1}")(x)
        out: Tensor = self.predictor(F.relu_(self.deconv(x)))
        return out


class RoiHeads(nn.Module):
    """Holder of the heads under Detectron2's names; `network.py` runs them."""

    def __init__(self, channels: int, config: HeadConfig) -> None:
        super().__init__()
        self.config = config
        stages = range(len(config.stage_weights))
        inputs = channels * config.box_resolution**2
        self.box_head = nn.ModuleList(BoxHead(inputs, config) for _ in stages)
        self.box_predictor = nn.ModuleList(BoxPredictor(config) for _ in stages)
        self.mask_head = MaskHead(channels, config)


def select_detections(
    boxes: Tensor,
    scores: Tensor,
    size: tuple[int, int],
    *,
    score_threshold: float,
    nms_threshold: float,
    limit: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Turn refined boxes and class scores into final detections.

    Args:
        boxes: [P, 4] in input pixels.
        scores: [P, classes + 1] probabilities, last column background.
        size: (height, width) of the network's input without padding.
        score_threshold: only scores above it are kept. Suppression goes by descending score,
            so raising it drops detections and changes none of those that stay.
        nms_threshold: IoU above which the lower score is suppressed, per class.
        limit: how many detections to keep.

    Returns:
        Boxes [D, 4], scores [D] (descending) and classes [D].
    """
    valid = torch.isfinite(boxes).all(dim=1) & torch.isfinite(scores).all(dim=1)
    boxes = clip_boxes(boxes[valid], *size)
    candidates = scores[valid][:, :-1]
    rows, classes = (candidates > score_threshold).nonzero(as_tuple=True)
    boxes, kept_scores = boxes[rows], candidates[rows, classes]
    kept = batched_nms(boxes, kept_scores, classes, nms_threshold)[:limit]
    return boxes[kept], kept_scores[kept], classes[kept]
