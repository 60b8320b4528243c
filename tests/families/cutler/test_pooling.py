"""RoIAlign by weighted sums equals torchvision's, forwards and backwards."""

import pytest
import torch

from services.families.cutler.pooling import (
    assign_levels,
    gather_align,
    pool_regions,
    torchvision_align,
)


def _regions(images: int) -> torch.Tensor:
    torch.manual_seed(0)
    corners = torch.rand(40, 2) * 260 - 10
    boxes = torch.cat((corners, corners + torch.rand(40, 2) * 120), dim=1)
    edges = torch.tensor([[0.0, 0.0, 256.0, 192.0], [250.0, 180.0, 256.0, 192.0], [5, 5, 5.1, 5.1]])
    flat = torch.cat((boxes, edges))
    owner = torch.arange(len(flat))[:, None] % images
    return torch.cat((owner.float(), flat), dim=1)


@pytest.mark.parametrize("ratio", [0, 1, 2])
@pytest.mark.parametrize("resolution", [7, 14])
def test_equals_torchvision(ratio: int, resolution: int) -> None:
    feature = torch.randn(2, 8, 48, 64)
    regions = _regions(2)
    ours = gather_align(feature, regions, resolution, 0.25, ratio)
    theirs = torchvision_align(feature, regions, resolution, 0.25, ratio)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_gradient_equals_torchvision() -> None:
    feature = torch.randn(2, 8, 48, 64, requires_grad=True)
    regions = _regions(2)
    outgoing = torch.randn(len(regions), 8, 7, 7)
    gradients = []
    for align in (gather_align, torchvision_align):
        (gradient,) = torch.autograd.grad(align(feature, regions, 7, 0.25, 2), feature, outgoing)
        gradients.append(gradient)
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-4, rtol=1e-4)


def test_levels_follow_the_size() -> None:
    sides = torch.tensor([20.0, 111.0, 113.0, 225.0, 449.0, 2000.0])
    boxes = torch.stack((sides * 0, sides * 0, sides, sides), dim=1)
    assert assign_levels(boxes).tolist() == [0, 0, 1, 2, 3, 3]


def test_the_order_of_the_boxes_is_kept() -> None:
    features = [torch.full((1, 4, 64 >> i, 64 >> i), float(i)) for i in range(4)]
    sides = torch.tensor([500.0, 20.0, 230.0, 120.0])
    boxes = torch.stack((sides * 0, sides * 0, sides, sides), dim=1)
    # Boxes reach beyond the map, so only the first bin is certain to lie inside.
    pooled = pool_regions(features, [boxes], 7, 2)
    assert pooled[:, 0, 0, 0].tolist() == pytest.approx([3.0, 0.0, 2.0, 1.0])


def test_no_boxes() -> None:
    pooled = pool_regions([torch.zeros(1, 4, 8, 8)] * 4, [torch.zeros(0, 4)], 7, 2)
    assert pooled.shape == (0, 4, 7, 7)
