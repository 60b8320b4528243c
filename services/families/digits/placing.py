"""Where and how large a digit is in its picture, made as in MNIST."""

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 28
# MNIST's own proportions: the digit fills a box of 20 pixels, its centre of mass is the middle.
_BOX = 20
# Fainter than this share of the brightest pixel is paper.
_INK = 0.15


def place(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut the digit out of a picture, bright on dark, and place it on float32 [28, 28], 0 to 1.

    The brightest pixel becomes 1: a pale pen, and a scale of 0 to 1 or 0 to 255, are all alike.

    Args:
        picture: float32 [H, W], at least 0.
    """
    placed = np.zeros((SIDE, SIDE), np.float32)
    ink = picture > float(picture.max()) * _INK
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if not rows.size:
        return placed
    digit = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = digit.shape
    scale = _BOX / max(height, width)
    if scale != 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        digit = np.asarray(cv2.resize(digit, size, interpolation=way), np.float32)
        height, width = digit.shape
    mass = digit.sum()
    top = _start(float(digit.sum(axis=1) @ np.arange(height) / mass), height)
    left = _start(float(digit.sum(axis=0) @ np.arange(width) / mass), width)
    placed[top : top + height, left : left + width] = digit / digit.max()
    return placed


def _start(centre: float, length: int) -> int:
    """Where to begin so that the centre of mass lies in the middle, as far as there is room."""
    return min(max(round((SIDE - 1) / 2 - centre), 0), SIDE - length)
