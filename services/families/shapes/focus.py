"""From any picture to the one that the network sees: the figure alone, told from its ground."""

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 48
# Pixels of the longest side while the figure is looked for.
_LOOKED_AT = 112
# What differs from the ground by more than this share of what differs most is figure.
_FIGURE = 0.4
_MARGIN = 0.06
_DUST = 8
_LEAST_CONTRAST = 8


def focus(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return uint8 [48, 48]: how far each pixel is from the ground, cut to the figure.

    The ground has the colour that is usual along the border. So a figure looks alike in any
    colours, dark on light or light on dark, anywhere and of any size. Where nothing stands out,
    it is the whole picture.

    Args:
        picture: BGR uint8 [H, W, 3].
    """
    small = _shrunk(picture)
    edges = np.concatenate((small[0], small[-1], small[:, 0], small[:, -1]))
    ground = np.median(edges, axis=0)
    blue, green, red = cv2.split(
        cv2.absdiff(small, np.broadcast_to(ground.astype(np.uint8), small.shape))
    )
    apart = np.asarray(cv2.max(cv2.max(blue, green), red), np.uint8)
    calm = np.asarray(cv2.blur(apart, (3, 3)))
    counts = np.bincount(calm.ravel(), minlength=256)
    # The brightness that a few pixels reach: a single one may be dust.
    most = max(255 - int(np.searchsorted(counts[::-1].cumsum(), _DUST)), _LEAST_CONTRAST)
    figure = _cut(apart, calm > most * _FIGURE)
    height, width = figure.shape
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    figure = np.asarray(cv2.resize(figure, size, interpolation=way))
    top, left = (SIDE - size[1]) // 2, (SIDE - size[0]) // 2
    seen = np.zeros((SIDE, SIDE), np.uint8)
    seen[top : top + size[1], left : left + size[0]] = cv2.convertScaleAbs(figure, alpha=255 / most)
    return seen


def _shrunk(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    scale = _LOOKED_AT / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    return picture


def _cut(apart: NDArray[np.uint8], inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Cut out the box around the figure, and a margin as far as there is one."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not rows.size:
        return apart
    margin = 1 + round(_MARGIN * max(rows[-1] - rows[0], columns[-1] - columns[0]))
    top, left = max(0, rows[0] - margin), max(0, columns[0] - margin)
    return apart[top : rows[-1] + margin + 1, left : columns[-1] + margin + 1]
