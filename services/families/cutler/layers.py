"""Convolution with normalisation and activation, under Detectron2's parameter names."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import FrozenBatchNorm2d

Norm = Callable[[Tensor], Tensor]


def make_norm(kind: str, channels: int) -> nn.Module | None:
    """Return the normalisation layer that a Detectron2 `NORM` string names (None for "")."""
    if not kind:
        return None
    if kind == "GN":
        return nn.GroupNorm(32, channels)
    if kind == "FrozenBN":
        frozen: nn.Module = FrozenBatchNorm2d(channels)
        return frozen
    # SyncBN differs from BN only while training on several devices; the parameters are the same.
    return nn.BatchNorm2d(channels)


class Conv2d(nn.Conv2d):
    """`nn.Conv2d` followed by an optional `norm` and an optional in-place ReLU.

    The normalisation is a child called `norm`, so that parameters are named as in Detectron2
    (`conv1.weight`, `conv1.norm.weight`, ...).
    """

    norm: nn.Module | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        norm: str = "",
        relu: bool = False,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel,
            stride=stride,
            padding=kernel // 2,
            groups=groups,
            bias=not norm,
        )
        self.norm = make_norm(norm, out_channels)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C_in, H, W] to [N, C_out, H / stride, W / stride]."""
        x = super().forward(x)
        if self.norm is not None:
            x = self.norm(x)
        return F.relu_(x) if self.relu else x

    @torch.no_grad()
    def fold_norm(self) -> None:
        """Fold a batch normalisation with fixed statistics into weight and bias.

        y = (W x + b - mean) * gain + beta, with gain = gamma / sqrt(var + eps), is again a
        convolution. Computed in double precision so that folding costs no accuracy.
        """
        norm = self.norm
        if not isinstance(norm, nn.BatchNorm2d | FrozenBatchNorm2d):
            return
        assert norm.running_var is not None and norm.running_mean is not None
        gain = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        bias = torch.zeros_like(gain) if self.bias is None else self.bias.double()
        bias = norm.bias.double() + (bias - norm.running_mean.double()) * gain
        weight = self.weight.double() * gain.reshape(-1, 1, 1, 1)
        self.weight = nn.Parameter(weight.to(self.weight.dtype), requires_grad=False)
        self.bias = nn.Parameter(bias.to(self.weight.dtype), requires_grad=False)
        self.norm = None
