"""From the plain network to the one that serves: folded, laid out, in the wanted precision."""

import dataclasses

import torch

from services.families.cutler.config import CutlerConfig
from services.families.cutler.layers import Conv2d
from services.families.cutler.network import CascadeMaskRcnn
from services.families.cutler.pooling import gather_align, torchvision_align

_FAST_PROPOSALS = 0.3
_FAST_LEAST_PROPOSALS = 100


def optimise(network: CascadeMaskRcnn, device: torch.device, dtype: torch.dtype) -> CascadeMaskRcnn:
    """Prepare a loaded network for serving, in place; it cannot be trained afterwards.

    Normalisation goes into the convolutions, weights are laid out channels-last (which both
    oneDNN and cuDNN convolve fastest), and RoIAlign is the one that suits the device.
    """
    network.eval().requires_grad_(False)
    for module in network.modules():
        if isinstance(module, Conv2d):
            module.fold_norm()
    network.to(device)
    network.to(memory_format=torch.channels_last)
    for part in (network.backbone, network.proposal_generator, network.roi_heads):
        part.to(dtype)
    network.align = torchvision_align if device.type == "cuda" else gather_align
    return network


def fast_preset(config: CutlerConfig) -> CutlerConfig:
    """Return the configuration of `CUTLER_PRESET=fast`.

    A third of the proposals, and two samples per bin and axis however large the region.
    """
    rpn = config.rpn
    proposals = max(_FAST_LEAST_PROPOSALS, int(rpn.post_nms_topk * _FAST_PROPOSALS))
    return dataclasses.replace(
        config,
        rpn=dataclasses.replace(
            rpn,
            pre_nms_topk=max(_FAST_LEAST_PROPOSALS, int(rpn.pre_nms_topk * _FAST_PROPOSALS)),
            post_nms_topk=min(proposals, rpn.post_nms_topk),
        ),
        heads=dataclasses.replace(
            config.heads,
            box_sampling_ratio=config.heads.box_sampling_ratio or 2,
            mask_sampling_ratio=config.heads.mask_sampling_ratio or 2,
        ),
    )
