"""Digits as a pen would draw them on a canvas: lines and arcs, unlike what training has seen."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Stroke = list[tuple[float, float]]


def _arc(x: float, y: float, wide: float, high: float, begin: int, end: int) -> Stroke:
    turns = [math.radians(begin + (end - begin) * step / 24) for step in range(25)]
    return [(x + wide * math.cos(turn), y + high * math.sin(turn)) for turn in turns]


# In a square of side 1, y down.
DIGITS: tuple[list[Stroke], ...] = (
    [_arc(0.5, 0.5, 0.28, 0.42, 0, 360)],
    [[(0.35, 0.22), (0.52, 0.05), (0.52, 0.95)]],
    [[*_arc(0.5, 0.28, 0.27, 0.23, 190, 380), (0.25, 0.93), (0.8, 0.93)]],
    [_arc(0.47, 0.28, 0.25, 0.22, 200, 430), _arc(0.47, 0.71, 0.28, 0.24, 290, 520)],
    [[(0.55, 0.05), (0.2, 0.62), (0.82, 0.62)], [(0.62, 0.35), (0.62, 0.97)]],
    [[(0.75, 0.07), (0.32, 0.07), (0.28, 0.45), *_arc(0.47, 0.67, 0.27, 0.27, 230, 500)]],
    [[(0.68, 0.05), (0.4, 0.3), *_arc(0.5, 0.7, 0.24, 0.24, 180, 540)]],
    [[(0.22, 0.08), (0.78, 0.08), (0.42, 0.95)]],
    [_arc(0.5, 0.28, 0.2, 0.21, 0, 360), _arc(0.5, 0.72, 0.25, 0.23, 0, 360)],
    [[*_arc(0.5, 0.3, 0.23, 0.23, 0, 360), (0.73, 0.3), (0.66, 0.95)]],
)


def digit(number: int, rng: np.random.Generator, side: int = 280) -> NDArray[np.uint8]:
    """Draw a digit of any size anywhere on a canvas; return it as uint8 [28, 28]."""
    canvas = np.zeros((side, side), np.uint8)
    size = rng.uniform(0.35, 0.85) * side
    corner = rng.uniform(0.1, 0.9, 2) * (side - size)
    pen = max(6, int(rng.uniform(12, 26) * size / 200))
    turn, slant, narrow = rng.uniform(-0.18, 0.18), rng.uniform(-0.15, 0.2), rng.uniform(0.75, 1.1)
    form = np.array([[narrow, 0], [-slant, 1]]) @ np.array(
        [[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]]
    )
    for stroke in DIGITS[number]:
        points = ((np.array(stroke) - 0.5) @ form + 0.5) * size + corner
        points += rng.normal(0, 0.01 * size, points.shape[1])
        cv2.polylines(canvas, [np.rint(points).astype(np.int32)], False, 255, pen, cv2.LINE_AA)
    return np.asarray(cv2.resize(canvas, (28, 28), interpolation=cv2.INTER_AREA), np.uint8)


def digits(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw 0, 1, 2 ... again and again: images [N, 28, 28] and labels [N]."""
    rng = np.random.default_rng(seed)
    images = np.stack([digit(number % 10, rng) for number in range(count)])
    return images, (np.arange(count) % 10).astype(np.uint8)
