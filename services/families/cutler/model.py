"""The CutLER family: a picture in, its objects out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from services.core.images import ImageLimits, decode_image
from services.core.settings import Settings
from services.families._pictures import picture
from services.families._torch import threads
from services.families.base import Artifact, Model, ModelInfo
from services.families.cutler.config import load_config
from services.families.cutler.engines import (
    Detectron2Engine,
    NativeEngine,
    SegmentationEngine,
)
from services.families.cutler.files import BUNDLED, NAME, builtin, paths
from services.families.cutler.imaging import to_picture
from services.families.cutler.masks import draw, encode_rle, paste_masks
from services.families.cutler.optimise import fast_preset
from services.families.cutler.precision import choose_placement
from services.families.cutler.saving import SIGNATURE
from services.families.cutler.schema import (
    Instance,
    RawInstances,
    Segmentation,
    SegmentationInput,
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A picture on its way to the network."""

    request: SegmentationInput
    threshold: float
    image: NDArray[np.uint8]
    tensor: torch.Tensor


class CutlerModel(Model):
    """A Cascade Mask R-CNN in memory."""

    signature = SIGNATURE

    def __init__(self, info: ModelInfo, engine: SegmentationEngine, settings: Settings) -> None:
        self.info = info
        self.engine = engine
        self.limits = ImageLimits.from_settings(settings)
        self.threshold = settings.cutler_threshold
        self._threads = settings.threads

    def preprocess(self, payload: Any) -> Prepared:
        """Decode, turn upright and resize one `Picture` or `SegmentationInput`.

        Raises:
            InvalidInputError: the bytes are not a picture that is accepted here.
        """
        given = picture(payload)
        request = given if isinstance(given, SegmentationInput) else SegmentationInput(given.data)
        image = decode_image(request.data, self.limits)
        threshold = self.threshold if request.threshold is None else request.threshold
        return Prepared(request, threshold, image, self.engine.prepare(image))

    def infer(self, batch: Sequence[Prepared]) -> list[RawInstances]:
        """Run the network on each; the results are in pixels of the upright pictures."""
        with threads(self._threads):
            return [self._find(prepared) for prepared in batch]

    def _find(self, prepared: Prepared) -> RawInstances:
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
        (raw,) = self.infer([prepared])
        self.postprocess(prepared, raw)

    def close(self) -> None:
        """Give back the network's memory."""
        on_gpu = self.info.device != "cpu"
        del self.engine
        if on_gpu:
            torch.cuda.empty_cache()


def open_model(artifact: Artifact, settings: Settings) -> CutlerModel:
    """Load a version's weights and configuration.

    Raises:
        ConfigurationError: a file, device, precision or engine that is not there.
        CheckpointError: weights that are unsafe or do not fit.
    """
    weights, config_path = paths(artifact)
    torch.set_num_threads(settings.threads)
    config = load_config(config_path, bases=artifact.pinned)
    if settings.cutler_preset == "fast":
        config = fast_preset(config)
    placement = choose_placement(
        settings.cutler_device,
        settings.cutler_precision,
        settings.threads,
        memory=settings.data_dir / "cache" / "precision.json",
    )
    engine: SegmentationEngine
    if settings.cutler_engine == "detectron2":
        engine = Detectron2Engine(config, config_path, weights, placement)
    else:
        engine = NativeEngine(config, weights, placement)
    info = ModelInfo(
        name=artifact.name,
        version=artifact.version,
        family=NAME,
        task="instance-segmentation",
        device=str(placement.device),
        memory_bytes=engine.memory_bytes(),
        details=_details(settings, config_path, weights, placement.precision),
    )
    return CutlerModel(info, engine, settings)


def load_model(settings: Settings) -> CutlerModel:
    """Load what MODEL_PATH and CONFIG_PATH name, or the bundled model (see `open_model`)."""
    return open_model(builtin(settings), settings)


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
