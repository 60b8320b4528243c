"""The figures of the model card: held-out scenes, coins, photographs."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from services.core.errors import ConfigurationError
from services.core.settings import Settings
from services.families.cutler.imaging import to_picture
from services.families.cutler.masks import draw, paste_masks
from services.families.cutler.model import CutlerModel, load_model
from services.families.cutler.precision import cpu_gain
from services.training.segmenter.evaluate import (
    Masks,
    Predictor,
    evaluate_coins,
    evaluate_photographs,
    evaluate_scenes,
    load_photograph,
)
from services.training.segmenter.scenes import EVALUATION_SEEDS, generate_scene

MARKS = Path(__file__).parents[3] / "tests" / "training" / "segmenter"
_DRAWN_SCENES = 24
_DRAWN_SCORE = 0.5
_PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket", "camera", "motorcycle_left", "coins")


def predictor(model: CutlerModel) -> Predictor:
    """Return a function that finds every object of an RGB picture, whatever its score."""

    def predict(picture: NDArray[np.uint8]) -> tuple[NDArray[np.floating[Any]], Masks]:
        tensor = model.engine.prepare(np.ascontiguousarray(picture[:, :, ::-1]))
        raw = to_picture(model.engine.detect(tensor, 0.0), tensor, picture.shape)
        height, width = picture.shape[:2]
        masks = np.zeros((len(raw.masks), height, width), np.bool_)
        for whole, part in zip(masks, paste_masks(raw, height, width), strict=True):
            rows, columns = part.pixels.shape
            whole[part.top : part.top + rows, part.left : part.left + columns] = part.pixels
        return raw.scores, masks

    return predict


def evaluate(
    settings: Settings,
    *,
    scenes: int,
    overlays: Path | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure the configured segmenter.

    Args:
        settings: which weights, precision and preset.
        scenes: how many held-out scenes to score.
        overlays: folder to draw what was found into; None: draw nothing.
        note: called with a line before each step.

    Raises:
        ConfigurationError: more scenes than are held out, or the marks are not there.
    """
    if scenes > len(EVALUATION_SEEDS):
        raise ConfigurationError(
            f"Only {len(EVALUATION_SEEDS)} scenes are held out.",
            where="--scenes",
            expected=f"at most {len(EVALUATION_SEEDS)}",
        )
    if not (MARKS / "coins.json").exists():
        raise ConfigurationError(
            "The marks of the coins and photographs are not installed.",
            expected="a checkout of the repository, in which they lie under tests/",
        )
    model = load_model(settings)
    predict = predictor(model)
    note(f"{scenes} held-out scenes")
    figures: dict[str, Any] = {
        "model": {"version": model.info.version} | dict(model.info.details),
        "scenes": {"count": scenes} | evaluate_scenes(predict, EVALUATION_SEEDS[:scenes]),
    }
    note("coins")
    figures["coins"] = evaluate_coins(predict, MARKS / "coins.json")
    note("photographs")
    figures["photographs"] = evaluate_photographs(predict, MARKS / "photographs.json")
    if overlays is not None:
        note(f"drawing into {overlays}")
        draw_overlays(model, overlays)
    return figures


def compare(settings: Settings, *, scenes: int, note: Callable[[str], None]) -> dict[str, Any]:
    """Return the AP on held-out scenes of every preset and precision that runs here."""
    result: dict[str, Any] = {}
    # Before anything computes: see `cpu_gain`.
    cpu_gain("bfloat16", settings.threads)
    for preset in ("exact", "fast"):
        for precision in ("fp32", "bf16"):
            label = f"{preset} {precision}"
            chosen = settings.model_copy(
                update={"cutler_preset": preset, "cutler_precision": precision}
            )
            note(label)
            try:
                model = load_model(chosen)
            except ConfigurationError as error:
                result[label] = {"unavailable": error.message}
                continue
            result[label] = evaluate_scenes(predictor(model), EVALUATION_SEEDS[:scenes])
    return result


def draw_overlays(model: CutlerModel, folder: Path) -> None:
    """Write one JPEG for each photograph and some held-out scenes, with the objects found."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in _pictures():
        tensor = model.engine.prepare(picture)
        raw = to_picture(model.engine.detect(tensor, _DRAWN_SCORE), tensor, picture.shape)
        height, width = picture.shape[:2]
        masks = paste_masks(raw, height, width)
        (folder / f"{name}.jpg").write_bytes(draw(picture, masks, raw.boxes, raw.scores))


def _pictures() -> Iterator[tuple[str, NDArray[np.uint8]]]:
    for name in _PHOTOGRAPHS:
        yield name, cv2.cvtColor(load_photograph(name), cv2.COLOR_RGB2BGR).astype(np.uint8)
    for seed in EVALUATION_SEEDS[:_DRAWN_SCENES]:
        image = generate_scene(seed).image
        yield f"scene_{seed}", cv2.cvtColor(image, cv2.COLOR_RGB2BGR).astype(np.uint8)


def lines(figures: dict[str, Any]) -> list[str]:
    """Return the figures as text, a line each."""
    scenes, coins, photos = (figures[key] for key in ("scenes", "coins", "photographs"))
    measures = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "recall")
    text = [
        f"model {figures['model']['version']} "
        f"({figures['model']['precision']}, {figures['model']['preset']})",
        f"{scenes['count']} held-out scenes: "
        + ", ".join(f"{name} {scenes[name]:.3f}" for name in measures),
        f"coins: {coins['found']} of {coins['coins']} at IoU 0.8 "
        f"(lowest {coins['lowest_iou']:.3f}, {coins['false_positives']} other masks)",
        f"photographs: {photos['found']} of {photos['objects']} marked objects among the ten "
        f"best masks, recall {photos['recall']:.2f}",
    ]
    for name, photo in photos["photos"].items():
        missed = f", missed: {', '.join(photo['missed'])}" if photo["missed"] else ""
        text.append(f"  {name}: {photo['found']} of {photo['objects']}{missed}")
    return text
