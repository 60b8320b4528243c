"""The network for shapes, and how training varies what it sees."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

# (channels, side of the kernel, stride); strides halve the picture faster than pooling would.
_LAYERS = ((16, 5, 2), (24, 3, 2), (40, 3, 1), (64, 3, 2), (80, 3, 1))
_DROPOUT = 0.1


class Scale(nn.Module):
    """Bytes [N, 1, H, W] to float32, 0 to 1, channels last."""

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the numbers."""
        return (pictures.float() / 255).contiguous(memory_format=torch.channels_last)


def build(classes: int) -> nn.Sequential:
    """Return a network from uint8 [N, 1, 48, 48] to logits [N, classes]."""
    layers: list[nn.Module] = [Scale()]
    before = 1
    for channels, side, stride in _LAYERS:
        conv = nn.Conv2d(before, channels, side, stride=stride, padding=side // 2, bias=False)
        layers += [conv, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
        before = channels
    head = [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(_DROPOUT)]
    network = nn.Sequential(*layers, *head, nn.Linear(4 * before, classes))
    return network.to(memory_format=torch.channels_last)


def served(network: nn.Sequential) -> nn.Sequential:
    """Return the network with its normalisation folded into the convolutions."""
    network.eval().requires_grad_(False)
    layers: list[nn.Module] = []
    for layer in network:
        if isinstance(layer, nn.BatchNorm2d):
            convolution = layers.pop()
            assert isinstance(convolution, nn.Conv2d)
            layers.append(fuse_conv_bn_eval(convolution, layer))
        elif not isinstance(layer, nn.Dropout):
            layers.append(layer)
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def vary(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror and turn each picture by quarters: it changes no shape's name."""
    turns: tuple[Callable[[Tensor], Tensor], ...] = (
        lambda x: x.flip(2),
        lambda x: x.flip(3),
        lambda x: x.transpose(2, 3),
    )
    for turn in turns:
        chosen = torch.rand((len(pictures), 1, 1, 1), generator=generator) < 0.5
        pictures = torch.where(chosen, turn(pictures), pictures)
    return pictures


def unchanged(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Return the pictures as they are: for classes that turning would change."""
    return pictures
