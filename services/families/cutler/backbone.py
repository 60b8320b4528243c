"""ResNet with a feature pyramid on top.

Sources: He et al. 2016 (ResNet); Lin et al. 2017 (feature pyramid); parameter names and padding
as in Detectron2.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from services.families.cutler.config import CutlerConfig, ResNetConfig
from services.families.cutler.layers import Conv2d

LEVELS = ("p2", "p3", "p4", "p5", "p6")
STRIDES = (4, 8, 16, 32, 64)
SIZE_DIVISIBILITY = 32
_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions round a shortcut (depth 18 and 34)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, norm: str) -> None:
        super().__init__()
        self.shortcut = _shortcut(in_channels, out_channels, stride, norm)
        self.conv1 = Conv2d(in_channels, out_channels, 3, stride=stride, norm=norm, relu=True)
        self.conv2 = Conv2d(out_channels, out_channels, 3, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C_in, H, W] to [N, C_out, H / stride, W / stride]."""
        out = self.conv2(self.conv1(x))
        out += x if self.shortcut is None else self.shortcut(x)
        return F.relu_(out)


class BottleneckBlock(nn.Module):
    """1x1, 3x3, 1x1 convolutions round a shortcut (depth 50 and more)."""

    def __init__(
        self, in_channels: int, mid: int, out_channels: int, stride: int, config: ResNetConfig
    ) -> None:
        super().__init__()
        norm = config.norm
        stride1, stride3 = (stride, 1) if config.stride_in_1x1 else (1, stride)
        self.shortcut = _shortcut(in_channels, out_channels, stride, norm)
        self.conv1 = Conv2d(in_channels, mid, 1, stride=stride1, norm=norm, relu=True)
        self.conv2 = Conv2d(mid, mid, 3, stride=stride3, groups=config.groups, norm=norm, relu=True)
        self.conv3 = Conv2d(mid, out_channels, 1, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C_in, H, W] to [N, C_out, H / stride, W / stride]."""
        out = self.conv3(self.conv2(self.conv1(x)))
        out += x if self.shortcut is None else self.shortcut(x)
        return F.relu_(out)


def _shortcut(in_channels: int, out_channels: int, stride: int, norm: str) -> Conv2d | None:
    if in_channels == out_channels and stride == 1:
        return None
    return Conv2d(in_channels, out_channels, 1, stride=stride, norm=norm)


class Stem(nn.Module):
    """7x7 convolution and max pooling: one quarter of the input size."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        self.conv1 = Conv2d(3, channels, 7, stride=2, norm=norm, relu=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, 3, H, W] to [N, C, H / 4, W / 4]."""
        return F.max_pool2d(self.conv1(x), kernel_size=3, stride=2, padding=1)


class ResNet(nn.Module):
    """The bottom-up path; returns the outputs of stages res2 to res5."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.stem = Stem(config.stem_channels, config.norm)
        channels, mid = config.stem_channels, config.groups * config.width_per_group
        self.channels: list[int] = []
        for index, blocks in enumerate(_BLOCKS[config.depth]):
            out = config.res2_channels * 2**index
            stage = nn.Sequential()
            for block in range(blocks):
                stride = 2 if block == 0 and index > 0 else 1
                stage.append(
                    BasicBlock(channels, out, stride, config.norm)
                    if config.depth < 50
                    else BottleneckBlock(channels, mid * 2**index, out, stride, config)
                )
                channels = out
            self.add_module(f"res{index + 2}", stage)
            self.channels.append(out)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return four maps of strides 4, 8, 16 and 32 for an image batch [N, 3, H, W]."""
        x = self.stem(x)
        outputs = []
        for index in range(2, 6):
            x = self.get_submodule(f"res{index}")(x)
            outputs.append(x)
        return outputs


class Backbone(nn.Module):
    """ResNet and feature pyramid: an image batch to maps p2 to p6 of equal width."""

    def __init__(self, config: CutlerConfig) -> None:
        super().__init__()
        self.bottom_up = ResNet(config.resnet)
        self.average = config.fpn_average
        width, norm = config.fpn_channels, config.fpn_norm
        for index, channels in enumerate(self.bottom_up.channels):
            self.add_module(f"fpn_lateral{index + 2}", Conv2d(channels, width, 1, norm=norm))
            self.add_module(f"fpn_output{index + 2}", Conv2d(width, width, 3, norm=norm))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map [N, 3, H, W], H and W multiples of 32, to [p2, p3, p4, p5, p6]."""
        maps = self.bottom_up(x)
        merged = [self.get_submodule(f"fpn_lateral{i + 2}")(maps[i]) for i in range(4)]
        for upper, lower in pairwise(range(3, -1, -1)):
            merged[lower] += F.interpolate(merged[upper], scale_factor=2.0, mode="nearest")
            if self.average:
                merged[lower] /= 2
        outputs = [self.get_submodule(f"fpn_output{i + 2}")(merged[i]) for i in range(4)]
        return [*outputs, F.max_pool2d(outputs[-1], kernel_size=1, stride=2)]
