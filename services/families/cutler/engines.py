"""The two ways to run the network: Slipway's own, and an installed Detectron2."""

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from services.core.errors import CheckpointError, ConfigurationError
from services.families.cutler.checkpoint import load_weights
from services.families.cutler.config import CutlerConfig
from services.families.cutler.imaging import network_input
from services.families.cutler.network import CascadeMaskRcnn, Detections
from services.families.cutler.optimise import optimise
from services.families.cutler.precision import Placement


class SegmentationEngine(Protocol):
    """Something that finds objects in a decoded picture."""

    def prepare(self, image: NDArray[np.uint8]) -> torch.Tensor:
        """Turn a BGR picture [H, W, 3] into the network's input, uint8 [3, H', W']."""

    def detect(self, image: torch.Tensor, threshold: float) -> Detections:
        """Run the network; boxes are in pixels of its input."""

    def memory_bytes(self) -> int:
        """Bytes that the weights take."""


class NativeEngine:
    """Slipway's own network."""

    def __init__(self, config: CutlerConfig, weights: Path, placement: Placement) -> None:
        self.config = config
        network = CascadeMaskRcnn(config)
        load_weights(network, weights)
        self.network = optimise(network, placement.device, placement.dtype)

    def prepare(self, image: NDArray[np.uint8]) -> torch.Tensor:
        """See `SegmentationEngine`."""
        return network_input(image, self.config)

    @torch.inference_mode()
    def detect(self, image: torch.Tensor, threshold: float) -> Detections:
        """See `SegmentationEngine`."""
        found = self.network(image, threshold)
        assert isinstance(found, Detections)
        return found

    def memory_bytes(self) -> int:
        """See `SegmentationEngine`."""
        return sum(t.numel() * t.element_size() for t in self.network.state_dict().values())


class Detectron2Engine:
    """An installed Detectron2 behind the same interface (`CUTLER_ENGINE=detectron2`).

    It runs in the precision of its own weights (fp32); presets do not apply to it.
    """

    def __init__(
        self, config: CutlerConfig, path: Path, weights: Path, placement: Placement
    ) -> None:
        try:
            from detectron2.checkpoint import DetectionCheckpointer
            from detectron2.config import get_cfg
            from detectron2.modeling import build_model
        except ImportError as error:
            raise ConfigurationError(
                "Detectron2 is not installed.",
                where="CUTLER_ENGINE",
                expected="native, or detectron2 with the detectron2 package installed",
            ) from error
        if weights.suffix == ".pkl":
            # Its loader unpickles such files without any check.
            raise CheckpointError(
                "Detectron2 would run whatever a .pkl file asks for.",
                where="MODEL_PATH",
                expected="a .pth file, or CUTLER_ENGINE=native",
            )
        self.config = config
        settings = get_cfg()
        settings.set_new_allowed(True)  # CutLER adds training keys of its own
        settings.merge_from_file(str(path))
        # CutLER's own head class differs from this one in its training loss only.
        settings.MODEL.ROI_HEADS.NAME = "CascadeROIHeads"
        settings.MODEL.DEVICE = str(placement.device)
        for part in (settings.MODEL.RESNETS, settings.MODEL.FPN):
            part.NORM = "BN" if part.NORM == "SyncBN" else part.NORM
        self.model: Any = build_model(settings).eval()
        DetectionCheckpointer(self.model).load(str(weights))

    def prepare(self, image: NDArray[np.uint8]) -> torch.Tensor:
        """See `SegmentationEngine`."""
        return network_input(image, self.config)

    @torch.inference_mode()
    def detect(self, image: torch.Tensor, threshold: float) -> Detections:
        """See `SegmentationEngine`."""
        found = self.model.inference([{"image": image}], do_postprocess=False)[0]
        keep = found.scores > threshold
        return Detections(
            found.pred_boxes.tensor[keep],
            found.scores[keep],
            found.pred_classes[keep],
            found.pred_masks[keep, 0],
        )

    def memory_bytes(self) -> int:
        """See `SegmentationEngine`."""
        return sum(t.numel() * t.element_size() for t in self.model.state_dict().values())
