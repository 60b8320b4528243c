"""The whole network: Cascade Mask R-CNN on a ResNet-FPN.

`CascadeMaskRcnn` is the plain network, used for training and as the yardstick; `optimise.py`
turns it into the one that serves.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from services.families.cutler.backbone import SIZE_DIVISIBILITY, Backbone
from services.families.cutler.boxes import clip_boxes, decode_boxes
from services.families.cutler.config import CutlerConfig
from services.families.cutler.heads import RoiHeads, select_detections
from services.families.cutler.pooling import Align, gather_align, pool_regions
from services.families.cutler.rpn import Rpn


@dataclass(frozen=True, slots=True)
class Detections:
    """Boxes [D, 4] in input pixels, scores [D], classes [D], mask probabilities [D, M, M]."""

    boxes: Tensor
    scores: Tensor
    classes: Tensor
    masks: Tensor


class CascadeMaskRcnn(nn.Module):
    """The network under Detectron2's parameter names."""

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, config: CutlerConfig) -> None:
        super().__init__()
        self.config = config
        self.align: Align = gather_align
        self.backbone = Backbone(config)
        self.proposal_generator = Rpn(config.fpn_channels, config.rpn)
        self.roi_heads = RoiHeads(config.fpn_channels, config.heads)
        # Not persistent: Detectron2 takes both from its configuration, never from the weights.
        for name, values in (("pixel_mean", config.pixel_mean), ("pixel_std", config.pixel_std)):
            self.register_buffer(name, torch.tensor(values).reshape(3, 1, 1), persistent=False)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.pixel_mean.device

    @property
    def dtype(self) -> torch.dtype:
        """Number type of the backbone's weights."""
        return self.backbone.bottom_up.stem.conv1.weight.dtype

    def normalise(self, image: Tensor) -> Tensor:
        """Turn uint8 [3, H, W] into a batch of one, [1, 3, H', W'], padded to multiples of 32."""
        x = (image.to(self.device).float() - self.pixel_mean) / self.pixel_std
        height, width = x.shape[-2:]
        bottom, right = -height % SIZE_DIVISIBILITY, -width % SIZE_DIVISIBILITY
        return F.pad(x, (0, right, 0, bottom)).unsqueeze(0).to(self.dtype)

    def pool(self, features: list[Tensor], boxes: Tensor, resolution: int, ratio: int) -> Tensor:
        """Crop boxes [P, 4] of a single image out of the pyramid (see `pool_regions`)."""
        return pool_regions(features, [boxes], resolution, ratio, self.align).to(self.dtype)

    def forward(self, image: Tensor, score_threshold: float | None = None) -> Detections:
        """Find the objects in one picture.

        Args:
            image: uint8 [3, H, W] in the channel order of the configuration, already resized.
            score_threshold: detections at or below are dropped; None takes the configured one.
        """
        size = (image.shape[-2], image.shape[-1])
        features = self.backbone(self.normalise(image))
        outputs = self.proposal_generator.predict(features)
        proposals, _ = self.proposal_generator.select(outputs, 0, size)
        boxes, scores = self.refine(features, proposals, size)
        config = self.config.heads
        threshold = config.score_threshold if score_threshold is None else score_threshold
        boxes, kept, classes = select_detections(
            boxes,
            scores,
            size,
            score_threshold=threshold,
            nms_threshold=config.nms_threshold,
            limit=self.config.max_detections,
        )
        return Detections(boxes, kept, classes, self.masks(features, boxes, classes))

    def refine(
        self, features: list[Tensor], proposals: Tensor, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Run the cascade: proposals [P, 4] to boxes [P, 4] and mean scores [P, classes + 1]."""
        config, boxes = self.config.heads, proposals
        total: Tensor | None = None
        for stage, weights in enumerate(config.stage_weights):
            boxes = clip_boxes(boxes, *size)
            pooled = self.pool(features, boxes, config.box_resolution, config.box_sampling_ratio)
            hidden = self.roi_heads.box_head[stage](pooled)
            logits, deltas = self.roi_heads.box_predictor[stage](hidden)
            probabilities = logits.softmax(dim=1)
            total = probabilities if total is None else total + probabilities
            boxes = decode_boxes(deltas, boxes, weights)
        assert total is not None
        return boxes, total / len(config.stage_weights)

    def masks(self, features: list[Tensor], boxes: Tensor, classes: Tensor) -> Tensor:
        """Return mask probabilities [D, M, M], float32, for boxes [D, 4] of `classes` [D]."""
        config = self.config.heads
        side = 2 * config.mask_resolution
        if len(boxes) == 0:
            return boxes.new_zeros((0, side, side))
        pooled = self.pool(features, boxes, config.mask_resolution, config.mask_sampling_ratio)
        logits: Tensor = self.roi_heads.mask_head(pooled)
        if logits.shape[1] == 1:
            return logits[:, 0].float().sigmoid()
        return logits[torch.arange(len(boxes)), classes].float().sigmoid()
