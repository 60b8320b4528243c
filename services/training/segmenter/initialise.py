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
    _silence_branches(network)
    # No activation follows these two, which Detectron2 starts more evenly.
    for parameter in (*_pyramid(network), *network.roi_heads.box_head.parameters()):
        if parameter.dim() > 1:
            nn.init.kaiming_uniform_(parameter, a=1)
    head = network.proposal_generator.rpn_head
    for layer in (head.conv, head.objectness_logits, head.anchor_deltas):
        nn.init.normal_(layer.weight, std=0.01)
    for predictor in network.roi_heads.box_predictor:
        nn.init.normal_(predictor.get_parameter("cls_score.weight"), std=0.01)
        nn.init.normal_(predictor.get_parameter("bbox_pred.weight"), std=0.001)
    nn.init.normal_(network.roi_heads.mask_head.predictor.weight, std=0.001)


def _silence_branches(network: CascadeMaskRcnn) -> None:
    """Let every residual block begin as the identity."""
    for module in network.modules():
        if isinstance(module, BasicBlock | BottleneckBlock):
            last = module.conv2 if isinstance(module, BasicBlock) else module.conv3
            if isinstance(last.norm, nn.BatchNorm2d):
                nn.init.zeros_(last.norm.weight)


def _pyramid(network: CascadeMaskRcnn) -> list[nn.Parameter]:
    return [p for name, p in network.backbone.named_parameters() if name.startswith("fpn_")]
