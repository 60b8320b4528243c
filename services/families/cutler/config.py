"""Detectron2's YAML configuration, read into the values that the network and its tests need.

Source of the key names and their defaults: Detectron2's configuration reference. Keys that only
concern training or data sets are ignored; keys that would change the architecture into something
this package does not implement are refused by name.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from services.core.errors import ConfigurationError
from services.families.cutler.config_keys import DEFAULTS, FIXED

_MAX_BASE_DEPTH = 8


@dataclass(frozen=True, slots=True)
class ResNetConfig:
    """Backbone: depth, normalisation, and the widths of stem and stages (channels)."""

    depth: int
    norm: str
    groups: int
    width_per_group: int
    stride_in_1x1: bool
    stem_channels: int
    res2_channels: int


@dataclass(frozen=True, slots=True)
class RpnConfig:
    """Anchors (sizes in input pixels, one tuple per level) and proposal selection."""

    anchor_sizes: tuple[tuple[float, ...], ...]
    aspect_ratios: tuple[tuple[float, ...], ...]
    anchor_offset: float
    box_weights: tuple[float, float, float, float]
    nms_threshold: float
    pre_nms_topk: int
    post_nms_topk: int


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """Cascade box heads and the mask head."""

    num_classes: int
    score_threshold: float
    nms_threshold: float
    box_resolution: int
    box_sampling_ratio: int
    num_fc: int
    fc_dim: int
    stage_weights: tuple[tuple[float, float, float, float], ...]
    stage_ious: tuple[float, ...]
    mask_resolution: int
    mask_sampling_ratio: int
    mask_convs: int
    mask_dim: int
    class_agnostic_mask: bool


@dataclass(frozen=True, slots=True)
class CutlerConfig:
    """Everything that decides what the network computes from a picture."""

    resnet: ResNetConfig
    fpn_channels: int
    fpn_norm: str
    fpn_average: bool
    rpn: RpnConfig
    heads: HeadConfig
    pixel_mean: tuple[float, float, float]
    pixel_std: tuple[float, float, float]
    rgb: bool
    min_size: int
    max_size: int
    max_detections: int


def load_config(path: Path, *, bases: bool = True) -> CutlerConfig:
    """Read a Detectron2 YAML file.

    Args:
        path: the file.
        bases: whether `_BASE_` may name another file; not in what comes from elsewhere.

    Raises:
        ConfigurationError: the file is missing, is not YAML, or describes an architecture other
            than a Cascade Mask R-CNN on a ResNet-FPN backbone; the message names the key.
    """
    return parse_config(_read_yaml(path, _MAX_BASE_DEPTH if bases else 0))


def flattened(path: Path) -> str:
    """Return a YAML file as text, with everything that its `_BASE_` holds in it."""
    return yaml.safe_dump(_read_yaml(path, _MAX_BASE_DEPTH), sort_keys=False)


def parse_config(tree: Mapping[str, Any]) -> CutlerConfig:
    """Turn a nested configuration mapping (see `load_config`) into a `CutlerConfig`."""
    values = {key: _literal(_lookup(tree, key, default)) for key, default in DEFAULTS.items()}
    for key, accepted in FIXED:
        if key in values and values[key] not in accepted:
            raise ConfigurationError(
                f"{key} is {values[key]!r}, which this implementation does not cover.",
                where=f"CONFIG_PATH: {key}",
                expected=" or ".join(repr(value) for value in accepted),
            )
    try:
        config = _build(values)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"A value in the model configuration has the wrong form: {error}.", where="CONFIG_PATH"
        ) from error
    _check(config)
    return config


def _build(v: Mapping[str, Any]) -> CutlerConfig:
    resnets, rpn, box, mask = (
        f"MODEL.{part}." for part in ("RESNETS", "RPN", "ROI_BOX_HEAD", "ROI_MASK_HEAD")
    )
    return CutlerConfig(
        resnet=ResNetConfig(
            depth=v[resnets + "DEPTH"],
            norm=v[resnets + "NORM"],
            groups=int(v[resnets + "NUM_GROUPS"]),
            width_per_group=int(v[resnets + "WIDTH_PER_GROUP"]),
            stride_in_1x1=bool(v[resnets + "STRIDE_IN_1X1"]),
            stem_channels=int(v[resnets + "STEM_OUT_CHANNELS"]),
            res2_channels=int(v[resnets + "RES2_OUT_CHANNELS"]),
        ),
        fpn_channels=int(v["MODEL.FPN.OUT_CHANNELS"]),
        fpn_norm=v["MODEL.FPN.NORM"],
        fpn_average=v["MODEL.FPN.FUSE_TYPE"] == "avg",
        rpn=RpnConfig(
            anchor_sizes=_levels(v["MODEL.ANCHOR_GENERATOR.SIZES"]),
            aspect_ratios=_levels(v["MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS"]),
            anchor_offset=float(v["MODEL.ANCHOR_GENERATOR.OFFSET"]),
            box_weights=_four(v[rpn + "BBOX_REG_WEIGHTS"]),
            nms_threshold=float(v[rpn + "NMS_THRESH"]),
            pre_nms_topk=int(v[rpn + "PRE_NMS_TOPK_TEST"]),
            post_nms_topk=int(v[rpn + "POST_NMS_TOPK_TEST"]),
        ),
        heads=HeadConfig(
            num_classes=int(v["MODEL.ROI_HEADS.NUM_CLASSES"]),
            score_threshold=float(v["MODEL.ROI_HEADS.SCORE_THRESH_TEST"]),
            nms_threshold=float(v["MODEL.ROI_HEADS.NMS_THRESH_TEST"]),
            box_resolution=int(v[box + "POOLER_RESOLUTION"]),
            box_sampling_ratio=int(v[box + "POOLER_SAMPLING_RATIO"]),
            num_fc=int(v[box + "NUM_FC"]),
            fc_dim=int(v[box + "FC_DIM"]),
            stage_weights=tuple(_four(w) for w in v["MODEL.ROI_BOX_CASCADE_HEAD.BBOX_REG_WEIGHTS"]),
            stage_ious=tuple(float(iou) for iou in v["MODEL.ROI_BOX_CASCADE_HEAD.IOUS"]),
            mask_resolution=int(v[mask + "POOLER_RESOLUTION"]),
            mask_sampling_ratio=int(v[mask + "POOLER_SAMPLING_RATIO"]),
            mask_convs=int(v[mask + "NUM_CONV"]),
            mask_dim=int(v[mask + "CONV_DIM"]),
            class_agnostic_mask=bool(v[mask + "CLS_AGNOSTIC_MASK"]),
        ),
        pixel_mean=_three(v["MODEL.PIXEL_MEAN"]),
        pixel_std=_three(v["MODEL.PIXEL_STD"]),
        rgb=v["INPUT.FORMAT"] == "RGB",
        min_size=int(v["INPUT.MIN_SIZE_TEST"]),
        max_size=int(v["INPUT.MAX_SIZE_TEST"]),
        max_detections=int(v["TEST.DETECTIONS_PER_IMAGE"]),
    )


def _check(config: CutlerConfig) -> None:
    """Refuse combinations that Detectron2 refuses too, or that could never run."""
    problems = (
        (
            config.resnet.depth in (18, 34) and config.resnet.res2_channels != 64,
            "MODEL.RESNETS.RES2_OUT_CHANNELS",
            "64 for depth 18 and 34",
        ),
        (config.heads.num_classes < 1, "MODEL.ROI_HEADS.NUM_CLASSES", "at least 1"),
        (config.heads.num_fc < 1, "MODEL.ROI_BOX_HEAD.NUM_FC", "at least 1"),
        (
            len(config.heads.stage_weights) != len(config.heads.stage_ious),
            "MODEL.ROI_BOX_CASCADE_HEAD.IOUS",
            "as many as BBOX_REG_WEIGHTS",
        ),
        (
            len(config.rpn.anchor_sizes) not in (1, 5),
            "MODEL.ANCHOR_GENERATOR.SIZES",
            "one list for all levels, or one for each of p2 to p6",
        ),
        (
            len(config.rpn.aspect_ratios) not in (1, 5),
            "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS",
            "one list for all levels, or one for each of p2 to p6",
        ),
        (min(config.pixel_std) <= 0, "MODEL.PIXEL_STD", "positive numbers"),
        (config.min_size < 1 or config.max_size < 1, "INPUT.MIN_SIZE_TEST", "positive sizes"),
        (config.max_detections < 1, "TEST.DETECTIONS_PER_IMAGE", "at least 1"),
    )
    for wrong, key, expected in problems:
        if wrong:
            raise ConfigurationError(
                f"{key} cannot be used.", where=f"CONFIG_PATH: {key}", expected=expected
            )


def _read_yaml(path: Path, depth: int) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"The model configuration {path.name!r} cannot be read: {error.strerror}.",
            where="CONFIG_PATH",
            expected="a readable Detectron2 YAML file",
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"The model configuration {path.name!r} is not valid YAML.",
            where="CONFIG_PATH",
            expected="a Detectron2 YAML file without Python tags",
        ) from error
    if not isinstance(tree, dict):
        raise ConfigurationError(
            f"The model configuration {path.name!r} holds no mapping.", where="CONFIG_PATH"
        )
    base = tree.pop("_BASE_", None)
    if base is None:
        return tree
    if depth == 0:
        raise ConfigurationError(
            "_BASE_ leads too far, or round in a circle.", where="CONFIG_PATH: _BASE_"
        )
    return _merge(_read_yaml(path.parent / str(base), depth - 1), tree)


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value
    return base


def _lookup(tree: Mapping[str, Any], key: str, default: Any) -> Any:
    node: Any = tree
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return default
        node = node[part]
    return node


def _literal(value: Any) -> Any:
    """Detectron2 writes tuples as strings, "(1, 2)", which YAML leaves as text."""
    if isinstance(value, str) and value[:1] in "([":
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            return value
    return list(value) if isinstance(value, tuple) else value


def _levels(value: Any) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(size) for size in level) for level in value)


def _three(value: Any) -> tuple[float, float, float]:
    first, second, third = (float(item) for item in value)
    return first, second, third


def _four(value: Any) -> tuple[float, float, float, float]:
    a, b, c, d = (float(item) for item in value)
    return a, b, c, d
