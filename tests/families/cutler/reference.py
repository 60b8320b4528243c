"""What Detectron2 itself computed for three pictures, with weights that follow from their names.

`golden/reference.npz` was condensed from the output of Detectron2 0.6 with CutLER's model code in
fp32 on a CPU, configuration `cascade_mask_rcnn_R_50_FPN_demo.yaml`. The pictures come with
scikit-image. The weights mean nothing; they only exercise the arithmetic.
"""

import dataclasses
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
import torch
from numpy.typing import NDArray

from services.families.cutler.config import CutlerConfig, parse_config
from services.families.cutler.network import CascadeMaskRcnn

GOLDEN = Path(__file__).parent / "golden"
CASES = ("astronaut_320", "coffee_320", "coins_320", "coffee_800")

# The standard deviation of a weight, as a multiple of sqrt(1 / fan in), by part of its name.
_SPREAD = (
    ("fpn_", 1.0),
    ("anchor_deltas", 0.15),
    ("bbox_pred", 0.15),
    ("objectness_logits", 0.6),
    ("cls_score", 0.6),
    ("mask_head.predictor", 1.5),
)

CUTLER_R50: dict[str, Any] = {
    "MODEL": {
        "MASK_ON": True,
        "PIXEL_MEAN": [123.675, 116.280, 103.530],
        "PIXEL_STD": [58.395, 57.120, 57.375],
        "BACKBONE": {"NAME": "build_resnet_fpn_backbone"},
        "RESNETS": {
            "DEPTH": 50,
            "NORM": "SyncBN",
            "STRIDE_IN_1X1": False,
            "OUT_FEATURES": ["res2", "res3", "res4", "res5"],
        },
        "FPN": {"NORM": "SyncBN", "IN_FEATURES": ["res2", "res3", "res4", "res5"]},
        "ANCHOR_GENERATOR": {"SIZES": [[32], [64], [128], [256], [512]]},
        "RPN": {
            "IN_FEATURES": ["p2", "p3", "p4", "p5", "p6"],
            "PRE_NMS_TOPK_TEST": 1000,
            "NMS_THRESH": 0.65,
        },
        "ROI_HEADS": {
            "NAME": "CustomCascadeROIHeads",
            "IN_FEATURES": ["p2", "p3", "p4", "p5"],
            "NUM_CLASSES": 1,
            "SCORE_THRESH_TEST": 0.0,
        },
        "ROI_BOX_HEAD": {
            "NAME": "FastRCNNConvFCHead",
            "NUM_FC": 2,
            "POOLER_RESOLUTION": 7,
            "CLS_AGNOSTIC_BBOX_REG": True,
        },
        "ROI_MASK_HEAD": {"NUM_CONV": 4, "POOLER_RESOLUTION": 14},
    },
    "INPUT": {"FORMAT": "RGB"},
}


@dataclasses.dataclass(frozen=True)
class Case:
    """One reference: the BGR picture, the configuration, and Detectron2's numbers."""

    image: NDArray[np.uint8]
    config: CutlerConfig
    threshold: float
    crc32: int
    values: dict[str, NDArray[Any]]


def load_case(name: str) -> Case:
    """Read one of `CASES`."""
    with np.load(GOLDEN / "reference.npz") as archive:
        prefix = f"{name}/"
        values = {k.removeprefix(prefix): archive[k] for k in archive if k.startswith(prefix)}
    picture = getattr(skimage.data, name.split("_")[0])()
    if picture.ndim == 2:
        picture = np.repeat(picture[:, :, None], 3, axis=2)
    min_size, max_size, crc32, _ = (int(v) for v in values["meta"])
    config = dataclasses.replace(parse_config(CUTLER_R50), min_size=min_size, max_size=max_size)
    image = np.ascontiguousarray(picture[:, :, ::-1])
    return Case(image, config, float(values["threshold"]), crc32, values)


def synthetic_weights() -> dict[str, torch.Tensor]:
    """Return the state dict that made the reference, under the names of the original checkpoint."""
    shapes = json.loads((GOLDEN / "parameter_shapes.json").read_text())
    return {name: torch.from_numpy(_tensor(name, tuple(shapes[name]))) for name in shapes}


def synthetic_network() -> CascadeMaskRcnn:
    """Return the plain CutLER R50 network with the synthetic weights."""
    network = CascadeMaskRcnn(parse_config(CUTLER_R50)).eval().requires_grad_(False)
    network.load_state_dict(synthetic_weights())
    return network


def _tensor(name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    random = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, dtype=np.int64)
    if leaf == "running_var":
        return (1.0 + 0.2 * random.random(shape)).astype(np.float32)
    normal = random.standard_normal(shape)
    if leaf == "running_mean":
        return (0.1 * normal).astype(np.float32)
    if name.endswith("norm.weight"):
        gain = 0.3 if ".conv3.norm" in name else 1.0
        return (gain * (1.0 + 0.1 * normal)).astype(np.float32)
    if leaf == "bias":
        return (0.05 * normal).astype(np.float32)
    fan_in = int(np.prod(shape[1:]))
    factor = next((factor for part, factor in _SPREAD if part in name), None)
    deviation = np.sqrt(2.0 / fan_in) if factor is None else factor * np.sqrt(1.0 / fan_in)
    return np.asarray(deviation * normal, dtype=np.float32)
