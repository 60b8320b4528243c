"""Detectron2's YAML is read with its inheritance, and refused by key where it does not fit."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.core.errors import ConfigurationError
from services.families.cutler.config import load_config, parse_config
from services.families.cutler.files import BUNDLED
from tests.families.cutler.reference import CUTLER_R50


def _with(key: str, value: Any) -> dict[str, Any]:
    tree = copy.deepcopy(CUTLER_R50)
    node = tree
    *parents, leaf = key.split(".")
    for parent in parents:
        node = node.setdefault(parent, {})
    node[leaf] = value
    return tree


def test_shipped_configurations_load() -> None:
    bundled = load_config(BUNDLED / "config.yaml")
    assert (bundled.resnet.depth, bundled.fpn_channels) == (18, 64)
    official = load_config(BUNDLED.parent / "configs" / "cutler_cascade_r50_fpn.yaml")
    assert official == parse_config(CUTLER_R50)


def test_a_base_is_merged_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "bases").mkdir()
    (tmp_path / "bases" / "base.yaml").write_text(yaml.safe_dump(CUTLER_R50))
    child = tmp_path / "child.yaml"
    child.write_text(
        "_BASE_: bases/base.yaml\n"
        "MODEL: {RPN: {NMS_THRESH: 0.5}}\n"
        'INPUT: {MIN_SIZE_TEST: 480, MIN_SIZE_TRAIN: "(640, 800)"}\n'
    )
    config = load_config(child)
    assert config.rpn.nms_threshold == 0.5
    assert config.rpn.pre_nms_topk == 1000
    assert config.min_size == 480


def test_tuples_written_as_text_are_read() -> None:
    tree = _with("MODEL.ANCHOR_GENERATOR.SIZES", "((8,), (16,), (32,), (64,), (128,))")
    assert parse_config(tree).rpn.anchor_sizes[0] == (8.0,)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MODEL.META_ARCHITECTURE", "PanopticFPN"),
        ("MODEL.RESNETS.DEPTH", 152),
        ("MODEL.MASK_ON", False),
        ("MODEL.ROI_HEADS.NAME", "StandardROIHeads"),
        ("MODEL.ROI_BOX_HEAD.NUM_CONV", 4),
        ("MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", False),
        ("MODEL.RESNETS.NORM", "LN"),
        ("INPUT.FORMAT", "L"),
        ("MODEL.PIXEL_STD", [1.0, 0.0, 1.0]),
        ("MODEL.ROI_HEADS.NUM_CLASSES", 0),
        ("MODEL.ANCHOR_GENERATOR.SIZES", [[32], [64]]),
    ],
)
def test_another_architecture_is_refused_by_key(key: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_config(_with(key, value))
    assert caught.value.where == f"CONFIG_PATH: {key}"
    assert caught.value.expected


@pytest.mark.parametrize(
    "text",
    ["- a list", "a: [", "!!python/object/apply:os.getcwd []", "MODEL: {RPN: {NMS_THRESH: high}}"],
)
def test_a_broken_file_is_a_clear_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_config(path)
    assert "CONFIG_PATH" in str(caught.value.where)


def test_a_circle_of_bases_ends(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("_BASE_: config.yaml\n")
    with pytest.raises(ConfigurationError, match="circle"):
        load_config(path)


def test_a_missing_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_config(tmp_path / "config.yaml")
