"""The network computes what Detectron2 computes."""

import zlib
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from pycocotools import mask as coco

from services.families.cutler.imaging import network_input, to_picture
from services.families.cutler.masks import encode_rle, paste_masks
from services.families.cutler.network import CascadeMaskRcnn
from services.families.cutler.optimise import optimise
from tests.families.cutler.reference import CASES, Case, load_case, synthetic_network


@pytest.fixture(scope="module", autouse=True)
def _inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def plain() -> CascadeMaskRcnn:
    return synthetic_network()


@pytest.fixture(scope="module")
def served() -> CascadeMaskRcnn:
    return optimise(synthetic_network(), torch.device("cpu"), torch.float32)


def _feature_error(network: CascadeMaskRcnn, case: Case) -> float:
    """Largest error of the sampled features, relative to the spread of their level."""
    image = network_input(case.image, case.config)
    worst = 0.0
    for level, feature in enumerate(network.backbone(network.normalise(image)), start=2):
        index = torch.from_numpy(case.values[f"p{level}/index"].astype(np.int64))
        found = feature.contiguous().flatten()[index].numpy()
        spread = float(case.values[f"p{level}/stats"][1])
        worst = max(worst, np.abs(found - case.values[f"p{level}/value"]).max() / spread)
    return worst


def _agreement(network: CascadeMaskRcnn, case: Case) -> float:
    """Share of Detectron2's instances that have their like among ours."""
    image = network_input(case.image, case.config)
    raw = to_picture(network(image, case.threshold), image, case.image.shape[:2])
    height, width = case.image.shape[:2]
    masks = [encode_rle(mask, height, width) for mask in paste_masks(raw, height, width)]
    ours = [{"size": list(m.size), "counts": m.counts} for m in masks]
    theirs = [{"size": [height, width], "counts": str(c)} for c in case.values["counts"]]
    mask_iou = coco.iou(ours, theirs, [0] * len(theirs))
    # Two empty masks are alike, though their IoU is 0 / 0.
    mask_iou[np.ix_(coco.area(ours) == 0, coco.area(theirs) == 0)] = 1.0
    box_iou = coco.iou(_xywh(raw.boxes), _xywh(case.values["boxes"]), [0] * len(theirs))
    score_gap = np.abs(raw.scores[:, None] - case.values["scores"][None])
    alike = (box_iou > 0.99) & (mask_iou > 0.98) & (score_gap < 1e-3)
    return float(alike.any(axis=0).mean())


def _xywh(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), axis=1).astype(np.float64)


@pytest.mark.parametrize("name", CASES)
def test_input_is_identical(name: str) -> None:
    case = load_case(name)
    image = network_input(case.image, case.config).numpy()
    assert list(image.shape) == case.values["input_shape"].tolist()
    assert zlib.crc32(image.tobytes()) == case.crc32


@pytest.mark.parametrize("name", CASES)
def test_served_network_agrees(served: CascadeMaskRcnn, name: str) -> None:
    case = load_case(name)
    assert _feature_error(served, case) < 1e-3
    assert _agreement(served, case) >= 0.99


def test_plain_network_agrees(plain: CascadeMaskRcnn) -> None:
    case = load_case("coffee_320")
    assert _feature_error(plain, case) < 1e-5
    assert _agreement(plain, case) == 1.0


def test_proposals_agree(plain: CascadeMaskRcnn) -> None:
    case = load_case("astronaut_320")
    image = network_input(case.image, case.config)
    outputs = plain.proposal_generator.predict(plain.backbone(plain.normalise(image)))
    size = (image.shape[1], image.shape[2])
    boxes, logits = plain.proposal_generator.select(outputs, 0, size)
    assert len(boxes) == case.values["meta"][3]
    np.testing.assert_allclose(boxes[:50].numpy(), case.values["proposals"], atol=1e-2)
    np.testing.assert_allclose(logits[:50].numpy(), case.values["logits"], atol=1e-3)


@pytest.mark.parametrize(
    "parameter",
    [
        "backbone.bottom_up.res4.2.conv2.norm.running_mean",
        "backbone.fpn_lateral3.weight",
    ],
)
def test_a_corrupted_backbone_parameter_is_noticed(plain: CascadeMaskRcnn, parameter: str) -> None:
    tensor = plain.state_dict()[parameter]
    original = tensor.clone()
    tensor.mul_(1.05)
    try:
        assert _feature_error(plain, load_case("coffee_320")) > 1e-3
    finally:
        tensor.copy_(original)


@pytest.mark.slow
@pytest.mark.parametrize(
    "parameter",
    ["roi_heads.box_predictor.1.cls_score.weight", "roi_heads.mask_head.mask_fcn3.weight"],
)
def test_a_corrupted_head_parameter_is_noticed(plain: CascadeMaskRcnn, parameter: str) -> None:
    tensor = plain.state_dict()[parameter]
    original = tensor.clone()
    tensor.mul_(1.25)
    try:
        assert _agreement(plain, load_case("coffee_320")) < 0.99
    finally:
        tensor.copy_(original)
