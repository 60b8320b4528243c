"""Drawings of shapes as people and programs make them; the same seed draws the same picture."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from services.families.shapes.outlines import MAKERS, outline, wobbled

Pixels = NDArray[np.uint8]
LABELS = tuple(MAKERS)
# OpenCV takes coordinates with this many binary places.
_PLACES = 4
_LEAST_CONTRAST = 70
_SIDES = (64, 144)
_LONGEST = 1.7
_SIZES = (0.4, 0.95)


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture, BGR uint8 [H, W, 3], and the number of its label."""

    pixels: Pixels
    label: int


def draw(seed: int) -> Drawing:
    """Draw one shape; labels follow each other, so that any run of seeds holds all alike."""
    rng = np.random.default_rng(seed)
    label = seed % len(LABELS)
    height, width = (int(side) for side in rng.integers(*_SIDES, 2))
    if rng.random() < 0.4 or max(height, width) > _LONGEST * min(height, width):
        height = width
    paper, ink, other = _colours(rng)
    canvas = _background(height, width, paper, rng)
    points = _placed(LABELS[label], height, width, rng)
    _paint(canvas, points, ink, other, rng)
    return Drawing(_worn(canvas, rng), label)


def _placed(label: str, height: int, width: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the outline in pixels, of any size that fits and anywhere within the picture."""
    points = outline(label, rng)
    if rng.random() < 0.6:
        points = wobbled(points, rng.uniform(0.003, 0.028), rng)
    low, high = points.min(axis=0), points.max(axis=0)
    room = np.array([width, height])
    scale = float((room / (high - low)).min()) * rng.uniform(*_SIZES)
    spare = room - (high - low) * scale
    # More often near the middle than at the edge.
    share = 0.5 + (rng.uniform(0, 1, 2) - 0.5) * rng.uniform(0, 1)
    return np.asarray((points - low) * scale + spare * share)


def _colours(rng: np.random.Generator) -> tuple[NDArray[np.float64], ...]:
    """Return the colours of paper, ink and what fills an outline; each may be told apart."""
    kind = rng.random()
    while True:
        drawn = rng.uniform(0, 255, (3, 3))
        if kind < 0.5:
            drawn = np.repeat(drawn[:, :1], 3, axis=1)
        if kind < 0.3:
            drawn[0], drawn[1] = rng.uniform(215, 255), rng.uniform(0, 90)
        elif kind < 0.4:
            drawn[0], drawn[1] = rng.uniform(0, 50), rng.uniform(150, 255)
        if np.abs(drawn[0] - drawn[1]).max() > _LEAST_CONTRAST:
            return drawn[0], drawn[1], drawn[2]


def _background(
    height: int, width: int, paper: NDArray[np.float64], rng: np.random.Generator
) -> Pixels:
    canvas = np.empty((height, width, 3), np.float32)
    canvas[:] = paper
    kind = rng.random()
    if kind < 0.2:
        slope = np.linspace(-1, 1, width) * rng.uniform(-25, 25)
        canvas += (slope + np.linspace(-1, 1, height)[:, None] * rng.uniform(-25, 25))[..., None]
    elif kind < 0.4:
        coarse = rng.normal(0, rng.uniform(4, 14), (int(rng.integers(3, 12)),) * 2)
        canvas += cv2.resize(
            coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
        )[..., None]
    elif kind < 0.5:
        step, tint = int(rng.integers(8, 24)), rng.uniform(-28, 28)
        canvas[step // 2 :: step] += tint
        if rng.random() < 0.5:
            canvas[:, step // 2 :: step] += tint
    return canvas.clip(0, 255).astype(np.uint8)


def _paint(
    canvas: Pixels,
    points: NDArray[np.float64],
    ink: NDArray[np.float64],
    other: NDArray[np.float64],
    rng: np.random.Generator,
) -> None:
    size = float(np.ptp(points, axis=0).max())
    pen = max(1, round(size * rng.uniform(0.012, 0.09)))
    fixed = np.rint(points * 2**_PLACES).astype(np.int32)
    kind = rng.random()
    if kind < 0.5:
        cv2.fillPoly(canvas, [fixed], ink.tolist(), cv2.LINE_AA, _PLACES)
        return
    if kind < 0.65:
        cv2.fillPoly(canvas, [fixed], other.tolist(), cv2.LINE_AA, _PLACES)
    elif kind < 0.72:
        canvas[:] = _hatched(canvas, fixed, ink, rng)
    closed = rng.random() < 0.9
    if not closed:
        # The pen was lifted a little early.
        dense = wobbled(points, 0.0, rng)
        fixed = np.rint(dense[: rng.integers(112, 119)] * 2**_PLACES).astype(np.int32)
    cv2.polylines(canvas, [fixed], closed, ink.tolist(), pen, cv2.LINE_AA, _PLACES)


def _hatched(
    canvas: Pixels, fixed: NDArray[np.int32], ink: NDArray[np.float64], rng: np.random.Generator
) -> Pixels:
    """Return the canvas with slanted lines inside the outline."""
    height, width = canvas.shape[:2]
    lined, step = canvas.copy(), int(rng.integers(5, 14))
    for start in range(-height, width, step):
        cv2.line(lined, (start, height), (start + height, 0), ink.tolist(), 1, cv2.LINE_AA)
    inside = cv2.fillPoly(np.zeros((height, width), np.uint8), [fixed], 1, cv2.LINE_8, _PLACES)
    return np.where(inside[..., None] > 0, lined, canvas)


def _worn(canvas: Pixels, rng: np.random.Generator) -> Pixels:
    """Return what a camera or a file format makes of it: blurred, noisy, with blocks of JPEG."""
    if rng.random() < 0.3:
        canvas = np.asarray(cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.4, 1.3)), np.uint8)
    if rng.random() < 0.4:
        noise = rng.normal(0, rng.uniform(2, 16), canvas.shape[:2]).astype(np.float32)
        canvas = (canvas + noise[..., None]).clip(0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 95))]
        canvas = np.asarray(cv2.imdecode(cv2.imencode(".jpg", canvas, quality)[1], 1), np.uint8)
    return canvas
