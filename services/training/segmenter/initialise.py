"""Weights to start from when there are none.

Sources: He et al. 2015 for convolutions; Goyal et al. 2017 for the zero gain at the end of each
residual branch; small normal weights for the predictors as in Faster R-CNN.
"""

from torch import nn

from services.families.cutler.backbone import BasicBlock, BottleneckBlock
from services.families.cutler.network import CascadeMaskRcnn


def initialise(network: CascadeMaskRcnn) -> None:
    """Fill every weight of the network at random, from torch's global generator."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, BasicBlock | BottleneckBlock):
            last = module.conv2 if isinstance(module, BasicBlock) else module.conv3
            if isinstance(last.norm, nn.BatchNorm2d):
                nn.init.zeros_(last.norm.weight)
    for name, parameter in network.backbone.named_parameters():
        if name.startswith("fpn_") and parameter.dim() == 4:
            nn.init.kaiming_uniform_(parameter, a=1)
    head = network.proposal_generator.rpn_head
    small: list[tuple[nn.Module, float]] = [
        (head.conv, 0.01),
        (head.objectness_logits, 0.01),
        (head.anchor_deltas, 0.01),
        (network.roi_heads.mask_head.predictor, 0.001),
    ]
    for predictor in network.roi_heads.box_predictor:
        small.append((predictor.get_submodule("cls_score"), 0.01))
        small.append((predictor.get_submodule("bbox_pred"), 0.001))
    for layer, deviation in small:
        nn.init.normal_(layer.get_parameter("weight"), std=deviation)
    for box_head in network.roi_heads.box_head:
        for parameter in box_head.parameters():
            if parameter.dim() == 2:
                nn.init.kaiming_uniform_(parameter, a=1)
