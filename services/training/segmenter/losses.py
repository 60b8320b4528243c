"""The losses of a Cascade Mask R-CNN on a batch of scenes.

Sources: Ren et al. 2015, He et al. 2017, Cai and Vasconcelos 2018. Two choices of our own: the mask
head learns on the boxes that the last stage returns (which is what it meets when serving), and on
fractional coverage instead of hard bits.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from services.families.cutler.boxes import clip_boxes, decode_boxes, encode_boxes, nonempty
from services.families.cutler.network import CascadeMaskRcnn
from services.families.cutler.pooling import pool_regions
from services.training.segmenter.targets import Target, mask_targets, match, sample

Outputs = list[tuple[Tensor, Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How many examples each head learns from, per scene."""

    anchors: int = 256
    pre_nms: int = 400
    proposals: int = 300
    regions: int = 128
    masks: int = 16


class _ScaleGradient(torch.autograd.Function):
    """Identity forwards; scales the gradient on its way back to the shared features."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, scale: float) -> Tensor:
        ctx.scale = scale  # type: ignore[attr-defined]
        return x

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor
    ) -> tuple[Tensor, None]:
        return gradients[0] * ctx.scale, None  # type: ignore[attr-defined]


def detection_losses(
    network: CascadeMaskRcnn, images: Tensor, targets: list[Target], sampling: Sampling
) -> dict[str, Tensor]:
    """Return the named losses (scalars, to be added up) of a batch.

    Args:
        network: in training mode.
        images: normalised [N, 3, H, W], H and W multiples of 32.
        targets: one per image.
        sampling: example counts.
    """
    size = (images.shape[-2], images.shape[-1])
    features = network.backbone(images)
    outputs = network.proposal_generator.predict(features)
    losses = rpn_losses(network, outputs, targets, sampling.anchors)
    with torch.no_grad():
        limits = (sampling.pre_nms, sampling.proposals)
        proposals = [
            torch.cat((network.proposal_generator.select(outputs, i, size, limits)[0], t.boxes))
            for i, t in enumerate(targets)
        ]
    iou = network.config.heads.stage_ious[0]
    boxes = [_sample_regions(p, t, iou, sampling) for p, t in zip(proposals, targets, strict=True)]
    for stage in range(len(network.config.heads.stage_ious)):
        stage_losses, boxes = _stage_losses(network, features, boxes, targets, stage, size)
        losses |= stage_losses
    losses["mask"] = _mask_loss(network, features, boxes, targets, sampling.masks)
    return losses


def rpn_losses(
    network: CascadeMaskRcnn, outputs: Outputs, targets: list[Target], count: int
) -> dict[str, Tensor]:
    """Objectness (binary cross entropy) and box (L1 on deltas) losses of the anchors."""
    logits = torch.cat([o[0] for o in outputs], dim=1)
    deltas = torch.cat([o[1] for o in outputs], dim=1)
    anchors = torch.cat([o[2] for o in outputs])
    objectness, regression = [], []
    for i, target in enumerate(targets):
        matched = match(anchors, target.boxes, 0.3, 0.7, rescue=True)
        positive, negative = sample(matched, count, 0.5)
        chosen = torch.cat((positive, negative))
        wanted = torch.zeros(len(chosen))
        wanted[: len(positive)] = 1
        objectness.append(
            F.binary_cross_entropy_with_logits(logits[i][chosen], wanted, reduction="sum")
        )
        truth = encode_boxes(
            target.boxes[matched[positive]],
            anchors[positive],
            network.config.rpn.box_weights,
        )
        regression.append(F.l1_loss(deltas[i][positive], truth, reduction="sum"))
    scale = 1.0 / (count * len(targets))
    return {
        "rpn_object": torch.stack(objectness).sum() * scale,
        "rpn_box": torch.stack(regression).sum() * scale,
    }


@torch.no_grad()
def _sample_regions(boxes: Tensor, target: Target, iou: float, sampling: Sampling) -> Tensor:
    positive, negative = sample(match(boxes, target.boxes, iou, iou), sampling.regions, 0.25)
    return boxes[torch.cat((positive, negative))]


def _stage_losses(
    network: CascadeMaskRcnn,
    features: list[Tensor],
    boxes: list[Tensor],
    targets: list[Target],
    stage: int,
    size: tuple[int, int],
) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Losses of one cascade stage, and the boxes that it hands to the next."""
    config = network.config.heads
    iou, weights = config.stage_ious[stage], config.stage_weights[stage]
    pooled = pool_regions(features, boxes, config.box_resolution, config.box_sampling_ratio)
    pooled = _ScaleGradient.apply(pooled, 1.0 / len(config.stage_ious))
    logits, deltas = network.roi_heads.box_predictor[stage](
        network.roi_heads.box_head[stage](pooled)
    )
    matched = [match(b, t.boxes, iou, iou) for b, t in zip(boxes, targets, strict=True)]
    labels = torch.cat([(m < 0).long() for m in matched])  # class 0: object, 1: background
    flat = torch.cat(boxes)
    truth = torch.cat([t.boxes[m[m >= 0]] for m, t in zip(matched, targets, strict=True)])
    positive = labels == 0
    box_loss = F.l1_loss(
        deltas[positive], encode_boxes(truth, flat[positive], weights), reduction="sum"
    )
    losses = {
        f"class_{stage}": F.cross_entropy(logits, labels),
        f"box_{stage}": box_loss / max(1, len(labels)),
    }
    with torch.no_grad():
        decoded = clip_boxes(decode_boxes(deltas, flat, weights), *size)
        parts = torch.split(decoded, [len(b) for b in boxes])
        refined = [b[nonempty(b)] for b in parts]
    return losses, refined


def _mask_loss(
    network: CascadeMaskRcnn,
    features: list[Tensor],
    boxes: list[Tensor],
    targets: list[Target],
    count: int,
) -> Tensor:
    config = network.config.heads
    chosen, wanted = [], []
    with torch.no_grad():
        for box, target in zip(boxes, targets, strict=True):
            matched = match(box, target.boxes, 0.5, 0.5)
            positive, _ = sample(matched, count, 1.0)
            chosen.append(box[positive])
            side = 2 * config.mask_resolution
            wanted.append(mask_targets(target, matched[positive], box[positive], side))
    truth = torch.cat(wanted)
    if len(truth) == 0:
        return features[0].sum() * 0.0
    pooled = pool_regions(features, chosen, config.mask_resolution, config.mask_sampling_ratio)
    logits = network.roi_heads.mask_head(pooled)[:, 0].float()
    return F.binary_cross_entropy_with_logits(logits, truth)
