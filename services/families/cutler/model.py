"""The CutLER family: a picture in, its objects out."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from services.core.errors import ConfigurationError
from services.core.images import ImageLimits, decode_image
from services.core.settings import Settings
from services.families.base import Model, ModelInfo
from services.families.cutler.config import load_config
from services.families.cutler.engines import (
    Detectron2Engine,
    NativeEngine,
    SegmentationEngine,
)
from services.families.cutler.imaging import to_picture
from services.families.cutler.masks import draw, encode_rle, paste_masks
from services.families.cutler.optimise import fast_preset
from services.families.cutler.precision import choose_placement
from services.families.cutler.schema import (
    Instance,
    RawInstances,
    Segmentation,
    SegmentationInput,
)

BUNDLED = Path(__file__).parent / "bundled"
_NAME = "cutler"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A picture on its way to the network."""

    request: SegmentationInput
    threshold: float
    image: NDArray[np.uint8]
    tensor: torch.Tensor


class CutlerModel(Model):
    """A Cascade Mask R-CNN in memory."""

    def __init__(
        self, info: ModelInfo, engine: SegmentationEngine, limits: ImageLimits, threshold: float
    ) -> None:
        self.info = info
        self.engine = engine
        self.limits = limits
        self.threshold = threshold

    def preprocess(self, payload: SegmentationInput) -> Prepared:
        """Decode, turn upright and resize one picture.

        Raises:
            InvalidInputError: the bytes are not a picture that is accepted here.
        """
        image = decode_image(payload.data, self.limits)
        threshold = self.threshold if payload.threshold is None else payload.threshold
        return Prepared(payload, threshold, image, self.engine.prepare(image))

    def infer(self, prepared: Prepared) -> RawInstances:
        """Run the network; the result is in pixels of the upright picture."""
        found = self.engine.detect(prepared.tensor, prepared.threshold)
        return to_picture(found, prepared.tensor, prepared.image.shape[:2])

    def postprocess(self, prepared: Prepared, raw: RawInstances) -> Segmentation:
        """Paste the masks, encode them, and draw the picture if it was asked for."""
        height, width = prepared.image.shape[:2]
        pasted = paste_masks(raw, height, width)
        instances = tuple(
            Instance(
                box=(float(box[0]), float(box[1]), float(box[2]), float(box[3])),
                score=float(score),
                area=int(mask.pixels.sum()),
                mask=encode_rle(mask, height, width) if prepared.request.want_masks else None,
            )
            for mask, box, score in zip(pasted, raw.boxes, raw.scores, strict=True)
        )
        image = None
        if prepared.request.want_image:
            image = draw(prepared.image, pasted, raw.boxes, raw.scores)
        return Segmentation((height, width), instances, image)

    def confidences(self, output: Segmentation) -> list[float]:
        """Return the scores of the objects, for the metrics."""
        return [instance.score for instance in output.instances]

    def warm(self) -> None:
        """Segment a picture of noise, so that kernels are chosen and memory is claimed."""
        generator = np.random.default_rng(0)
        noise = generator.integers(0, 256, (480, 640, 3), dtype=np.uint8)
        request = SegmentationInput(b"", threshold=0.0)
        prepared = Prepared(request, 0.0, noise, self.engine.prepare(noise))
        self.postprocess(prepared, self.infer(prepared))


def load_model(settings: Settings) -> CutlerModel:
    """Load the weights and configuration that the settings name, or the bundled model.

    Raises:
        ConfigurationError: a file, device, precision or engine that is not there.
        CheckpointError: weights that are unsafe or do not fit.
    """
    weights, config_path = model_files(settings)
    torch.set_num_threads(settings.threads)
    config = load_config(config_path)
    if settings.cutler_preset == "fast":
        config = fast_preset(config)
    placement = choose_placement(
        settings.cutler_device, settings.cutler_precision, settings.threads
    )
    engine: SegmentationEngine
    if settings.cutler_engine == "detectron2":
        engine = Detectron2Engine(config, config_path, weights, placement)
    else:
        engine = NativeEngine(config, weights, placement)
    info = ModelInfo(
        name=_NAME,
        version=_version(weights),
        family=_NAME,
        task="instance-segmentation",
        device=str(placement.device),
        memory_bytes=engine.memory_bytes(),
        details=_details(settings, config_path, weights, placement.precision),
    )
    limits = ImageLimits.from_settings(settings)
    return CutlerModel(info, engine, limits, settings.cutler_threshold)


def model_files(settings: Settings) -> tuple[Path, Path]:
    """Return the weights and configuration to load: both from the settings, or both bundled."""
    if (settings.model_path is None) != (settings.config_path is None):
        raise ConfigurationError(
            "MODEL_PATH and CONFIG_PATH belong together, but only one of them is set.",
            where="CONFIG_PATH" if settings.config_path is None else "MODEL_PATH",
            expected="both, or neither for the bundled model",
        )
    if settings.model_path is None or settings.config_path is None:
        return BUNDLED / "model.pth", BUNDLED / "config.yaml"
    return settings.model_path, settings.config_path


def _version(weights: Path) -> str:
    """The first 12 digits of the weights' SHA-256: what was served can always be told."""
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def _details(
    settings: Settings, config_path: Path, weights: Path, precision: str
) -> dict[str, Any]:
    return {
        "bundled": weights.parent == BUNDLED,
        "weights": weights.name,
        "config": config_path.name,
        "engine": settings.cutler_engine,
        "precision": precision,
        "preset": settings.cutler_preset,
        "threads": settings.threads,
        "threshold": settings.cutler_threshold,
    }
