"""From mask probabilities inside boxes to pixels, run lengths and a picture.

Source of the pasting: Detectron2's aligned bilinear paste; of the format: COCO's run lengths.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from services.families.cutler.schema import RawInstances, Rle

_THRESHOLD = 0.5
_JPEG_QUALITY = 90
_OPACITY = 0.45


@dataclass(frozen=True, slots=True)
class PastedMask:
    """The pixels of one object: bool [h, w], with the column and row of its top left corner."""

    left: int
    top: int
    pixels: NDArray[np.bool_]


def paste_mask(
    mask: NDArray[np.float32], box: NDArray[np.float32], height: int, width: int
) -> PastedMask:
    """Sample a mask [M, M] bilinearly over the pixels of its box in a picture.

    Interpolation is separable, so it is two matrix products; only the box is touched, not the
    whole picture.
    """
    left, top = (max(int(np.floor(v)) - 1, 0) for v in box[:2])
    right, bottom = min(int(np.ceil(box[2])) + 1, width), min(int(np.ceil(box[3])) + 1, height)
    down = _interpolation(top, bottom, box[1], box[3], mask.shape[0])
    across = _interpolation(left, right, box[0], box[2], mask.shape[1])
    return PastedMask(left, top, (down @ mask) @ across.T >= _THRESHOLD)


def paste_masks(raw: RawInstances, height: int, width: int) -> list[PastedMask]:
    """Paste every mask of a picture of the given size in pixels, in order (see `paste_mask`)."""
    pairs = zip(raw.masks, raw.boxes, strict=True)
    return [paste_mask(mask, box, height, width) for mask, box in pairs]


def _interpolation(
    first: int, last: int, start: float, end: float, bins: int
) -> NDArray[np.float32]:
    """Weights [last - first, bins] that take bin centres between start and end to pixels."""
    centers = np.arange(first, last, dtype=np.float32) + np.float32(0.5)
    position = (centers - start) / (end - start) * bins - np.float32(0.5)
    distance = np.abs(position[:, None] - np.arange(bins, dtype=np.float32))
    return np.maximum(0.0, 1.0 - distance).astype(np.float32)


def encode_rle(mask: PastedMask, height: int, width: int) -> Rle:
    """Encode a mask as compressed COCO run lengths over the whole picture (column by column)."""
    rows, columns = mask.pixels.shape
    padded = np.zeros((columns, rows + 2), dtype=np.int8)
    padded[:, 1:-1] = mask.pixels.T
    column, row = np.nonzero(np.diff(padded, axis=1))
    changes = (column + mask.left) * height + row + mask.top
    # A run that reaches the bottom and goes on at the top of the next column is one run: its end
    # and its new start fall on the same index and cancel out.
    same = changes[1:] == changes[:-1]  # they are in order, so equal ones are neighbours
    cancelled = np.zeros(len(changes), dtype=bool)
    cancelled[1:] = same
    cancelled[:-1] |= same
    changes = changes[~cancelled]
    if len(changes) == 0 or changes[-1] != height * width:
        changes = np.append(changes, height * width)
    counts = np.diff(np.concatenate(([0], changes)))
    runs = {"size": [height, width], "counts": counts.tolist()}
    encoded = coco.frPyObjects(runs, height, width)
    return Rle((height, width), encoded["counts"].decode("ascii"))


def draw(
    image: NDArray[np.uint8],
    masks: Sequence[PastedMask],
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
) -> bytes:
    """Return the picture (BGR [H, W, 3]) with every object tinted, outlined and scored, as JPEG."""
    painted = image.copy()
    for number in reversed(range(len(masks))):  # the best on top
        mask = masks[number]
        height, width = mask.pixels.shape
        region = painted[mask.top : mask.top + height, mask.left : mask.left + width]
        region[mask.pixels] = _color(number)
    blended = cv2.addWeighted(painted, _OPACITY, image, 1 - _OPACITY, 0.0)
    picture = np.asarray(blended, dtype=np.uint8)
    thickness = max(1, round(max(image.shape[:2]) / 600))
    for number in reversed(range(len(masks))):
        mask = masks[number]
        outlines, _ = cv2.findContours(
            mask.pixels.astype(np.uint8),
            cv2.RETR_EXTERNAL,
            cv2.CHAIN_APPROX_SIMPLE,
            offset=(mask.left, mask.top),
        )
        cv2.drawContours(picture, outlines, -1, _color(number), thickness, cv2.LINE_AA)
    for number in reversed(range(len(masks))):
        _label(picture, boxes[number], f"{scores[number]:.2f}", _color(number))
    done, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise RuntimeError("the annotated picture could not be encoded")
    return encoded.tobytes()


def _label(
    picture: NDArray[np.uint8], box: NDArray[np.float32], text: str, color: tuple[int, int, int]
) -> None:
    scale = max(0.35, max(picture.shape[:2]) / 1800)
    (width, height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    x = int(min(max(box[0], 0), max(0, picture.shape[1] - width - 4)))
    y = int(min(max(box[1], height + base + 2), picture.shape[0] - 1))
    cv2.rectangle(picture, (x, y - height - base), (x + width + 4, y), color, cv2.FILLED)
    ink = (0, 0, 0) if sum(color) > 380 else (255, 255, 255)
    cv2.putText(
        picture, text, (x + 2, y - base + 1), cv2.FONT_HERSHEY_SIMPLEX, scale, ink, 1, cv2.LINE_AA
    )


def _color(number: int) -> tuple[int, int, int]:
    """BGR; neighbours in the list are far apart on the colour circle (golden angle)."""
    hsv = np.array([[[int(number * 137.508 / 2) % 180, 200, 255]]], dtype=np.uint8)
    blue, green, red = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0]
    return int(blue), int(green), int(red)
