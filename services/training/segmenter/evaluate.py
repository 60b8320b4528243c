"""Measures of a segmenter that know nothing of the network: a predictor is a plain function.

Held-out scenes are scored as COCO scores masks; two fixed checks ask how far the training
carries: the 24 coins of scikit-image, and hand-marked objects in six of its photographs.
scikit-image is needed only for these two checks and is imported when they run.
"""

import contextlib
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle  # type: ignore[import-untyped,unused-ignore]
from pycocotools.coco import COCO  # type: ignore[import-untyped,unused-ignore]
from pycocotools.cocoeval import COCOeval  # type: ignore[import-untyped,unused-ignore]

from services.training.segmenter.scenes import generate_scene

Masks = NDArray[np.bool_]
# RGB uint8 [H, W, 3] to scores [N] in 0..1 and masks [N, H, W]
Predictor = Callable[[NDArray[np.uint8]], tuple[NDArray[np.floating[Any]], Masks]]

_SCORE = 0.5  # a prediction below this does not count as one in the coin check
_COIN_IOU = 0.8
_BOX_IOU = 0.5
_BEST = 10  # masks looked at per photograph
_STATS = (
    "AP",
    "AP50",
    "AP75",
    "AP_small",
    "AP_medium",
    "AP_large",
    "recall_1",
    "recall_10",
    "recall",
)


def _skimage_data() -> Any:
    try:
        from skimage import data
    except ImportError as error:
        raise RuntimeError(
            "scikit-image supplies the pictures of this check; install it with "
            "`pip install scikit-image` (a development dependency)"
        ) from error
    return data


def _rgb(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    grey = picture.ndim == 2
    return np.ascontiguousarray(np.repeat(picture[..., None], 3, axis=2) if grey else picture)


def _encoded(mask: Masks) -> dict[str, Any]:
    code: dict[str, Any] = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    return code


def _truth_record(image: int, number: int, mask: Masks) -> dict[str, Any]:
    code = _encoded(mask)
    return {
        "id": number, "image_id": image, "category_id": 1, "iscrowd": 0, "segmentation": code,
        "area": float(rle.area(code)), "bbox": [float(v) for v in rle.toBbox(code)],
    }  # fmt: skip


def evaluate_scenes(predict: Predictor, seeds: Iterable[int], size: int = 256) -> dict[str, float]:
    """Mask AP and recall over generated scenes of size x size pixels, one category.

    AP and recall average the IoU thresholds 0.50 to 0.95; small is below 32x32 pixels, large
    above 96x96, as in COCO. A measure without any truth to it (no large object, say) is -1.
    """
    images: list[dict[str, int]] = []
    truth: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for number, seed in enumerate(seeds, start=1):
        scene = generate_scene(seed, size)
        images.append({"id": number, "height": size, "width": size})
        for mask in scene.masks:
            truth.append(_truth_record(number, len(truth) + 1, mask))
        scores, masks = predict(scene.image)
        for score, mask in zip(scores, masks, strict=True):
            found.append({"image_id": number, "category_id": 1, "score": float(score),
                          "segmentation": _encoded(mask)})  # fmt: skip
    return _coco_measures(images, truth, found)


def _coco_measures(
    images: list[dict[str, int]], truth: list[dict[str, Any]], found: list[dict[str, Any]]
) -> dict[str, float]:
    if not truth:
        return dict.fromkeys(_STATS, -1.0)
    if not found:  # the COCO loader refuses an empty list
        return dict.fromkeys(_STATS, 0.0)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {"info": {}, "images": images, "annotations": truth,
                        "categories": [{"id": 1, "name": "object"}]}  # fmt: skip
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(found), "segm")
        run.params.maxDets = [1, 10, 100]
        run.evaluate()
        run.accumulate()
        run.summarize()
    return {name: float(value) for name, value in zip(_STATS, run.stats, strict=False)}


def ellipse_masks(ellipses: list[list[float]], h: int, w: int) -> Masks:
    """Filled ellipses [N, H, W] from rows of cx, cy, rx, ry (pixels) and angle (degrees)."""
    y = np.arange(h, dtype=np.float64)[:, None] + 0.5
    x = np.arange(w, dtype=np.float64)[None, :] + 0.5
    masks = np.zeros((len(ellipses), h, w), np.bool_)
    for i, (cx, cy, rx, ry, angle) in enumerate(ellipses):
        c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        along, across = c * (x - cx) + s * (y - cy), c * (y - cy) - s * (x - cx)
        masks[i] = (along / rx) ** 2 + (across / ry) ** 2 <= 1
    return masks


def mask_ious(first: Masks, second: Masks) -> NDArray[np.float64]:
    """IoU [N, M] of every mask [N, H, W] with every mask [M, H, W]."""
    pixels = int(np.prod(first.shape[1:]))  # not -1: there may be no mask at all
    a = first.reshape(len(first), pixels).astype(np.float32)
    b = second.reshape(len(second), pixels).astype(np.float32)
    common = a @ b.T
    union = a.sum(axis=1)[:, None] + b.sum(axis=1)[None, :] - common
    return np.asarray(common / np.maximum(union, 1.0), dtype=np.float64)


def _matched(ious: NDArray[np.float64]) -> list[tuple[int, int, float]]:
    """One-to-one pairs (row, column, IoU), the best IoU first."""
    left = ious.copy()
    pairs: list[tuple[int, int, float]] = []
    while left.size and left.max() > 0:
        row, column = (int(v) for v in np.unravel_index(int(left.argmax()), left.shape))
        pairs.append((row, column, float(left[row, column])))
        left[row, :] = 0
        left[:, column] = 0
    return pairs


def evaluate_coins(predict: Predictor, coins_path: Path) -> dict[str, float]:
    """How many coins are found one-to-one at mask IoU 0.8, counting predictions of score 0.5 up.

    Returns `coins`, `found`, `false_positives` (predictions that are no found coin) and
    `lowest_iou`, the worst IoU over all coins (0 for a coin without any prediction on it).
    """
    marks = json.loads(coins_path.read_text(encoding="utf-8"))
    picture = _rgb(_skimage_data().coins())
    truth = ellipse_masks(marks["ellipses"], *picture.shape[:2])
    scores, masks = predict(picture)
    sure = np.asarray(masks)[np.asarray(scores) >= _SCORE]
    pairs = _matched(mask_ious(truth, sure))
    found = sum(iou >= _COIN_IOU for _, _, iou in pairs)
    lowest = min(iou for _, _, iou in pairs) if len(pairs) == len(truth) else 0.0
    return {"coins": len(truth), "found": found, "false_positives": len(sure) - found,
            "lowest_iou": lowest}  # fmt: skip


def load_photograph(name: str) -> NDArray[np.uint8]:
    """A picture of scikit-image's package data as uint8 RGB [H, W, 3]."""
    data = _skimage_data()
    if name == "motorcycle_left":
        return _rgb(data.stereo_motorcycle()[0])
    return _rgb(getattr(data, name)())


def _mask_box(mask: Masks) -> tuple[float, float, float, float]:
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    return float(x), float(y), float(x + w), float(y + h)


def box_iou(a: Iterable[float], b: Iterable[float]) -> float:
    """IoU of two boxes x0, y0, x1, y1 in pixels."""
    ax0, ay0, ax1, ay1 = a
    bx0, by0, bx1, by1 = b
    common = max(0.0, min(ax1, bx1) - max(ax0, bx0)) * max(0.0, min(ay1, by1) - max(ay0, by0))
    union = (ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - common
    return common / union if union > 0 else 0.0


def evaluate_photographs(predict: Predictor, path: Path) -> dict[str, Any]:
    """Which hand-marked objects are among the ten best masks of each photograph (box IoU 0.5).

    Returns `objects`, `found`, `recall`, and `photos`: per name its objects, found, recall,
    the best IoU by label, and `missed` labels.
    """
    photos: dict[str, dict[str, Any]] = {}
    for photo in json.loads(path.read_text(encoding="utf-8"))["photos"]:
        scores, masks = predict(load_photograph(photo["name"]))
        best = np.argsort(-np.asarray(scores), kind="stable")[:_BEST]
        boxes = [_mask_box(masks[i]) for i in best]
        marks = photo["objects"]
        ious = np.array([[box_iou(m["box"], b) for b in boxes] for m in marks], np.float64)
        ious = ious.reshape(len(marks), len(boxes))
        hits = {row for row, _, iou in _matched(ious) if iou >= _BOX_IOU}
        photos[photo["name"]] = {
            "objects": len(marks),
            "found": len(hits),
            "recall": len(hits) / max(len(marks), 1),
            "best_iou": {m["label"]: float(r.max(initial=0.0)) for m, r in
                         zip(marks, ious, strict=True)},
            "missed": [m["label"] for i, m in enumerate(marks) if i not in hits],
        }  # fmt: skip
    objects = sum(p["objects"] for p in photos.values())
    found = sum(p["found"] for p in photos.values())
    return {"objects": objects, "found": found, "recall": found / max(objects, 1),
            "photos": photos}  # fmt: skip
