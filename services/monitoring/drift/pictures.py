"""Pictures and long vectors, brought to one size."""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from services.core.errors import InvalidInputError
from services.core.image_headers import read_header
from services.core.images import ImageLimits, check_size
from services.monitoring.drift.samples import Matrix

SIDE = 28
SIZE = SIDE * SIDE

_CHANNELS = (1, 3, 4)
_BRIGHTEST = 255.0
_LEAST_SIDE = 4
# Far beyond what is served; the settings bounded the upload itself.
_LIMITS = ImageLimits(max_pixels=200_000_000, max_side=30_000)
# A JPEG can be decoded at an eighth of its size, in a fraction of the time.
_REDUCED = (
    (8, cv2.IMREAD_REDUCED_GRAYSCALE_8),
    (4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
    (2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
)


def from_file(data: bytes) -> Matrix | None:
    """Return an encoded picture as grey float32 [784], 0 to 1; None where it cannot be read."""
    try:
        header = read_header(data)
        check_size(header, _LIMITS)
        shorter = min(header.width, header.height)
        flags = next((f for by, f in _REDUCED if shorter >= by * 2 * SIDE), cv2.IMREAD_GRAYSCALE)
        pixels = cv2.imdecode(np.frombuffer(header.essence, np.uint8), flags)
    except (InvalidInputError, cv2.error):
        return None
    return None if pixels is None else _resized(np.asarray(pixels, np.float32) / _BRIGHTEST)


def from_numbers(value: Any) -> Matrix | None:
    """Return nested lists or an array of numbers as float32 [784]; None where they are none.

    What has the form of a picture ([h, w], with channels before or behind, or a square number of
    values) becomes grey, 0 to 1, whichever of the usual two scales it came in. Other vectors keep
    their values; longer ones are averaged piece by piece.
    """
    try:
        array = np.asarray(value, np.float32)
    except (ValueError, TypeError, OverflowError):
        return None
    if not array.size or not np.isfinite(array).all():
        return None
    picture = _picture(array)
    if picture is None:
        return _vector(array.ravel())
    if picture.min() >= 0 and picture.max() > 1:
        picture = picture / np.float32(_BRIGHTEST)
    return _resized(picture)


def _picture(array: Matrix) -> Matrix | None:
    """Return what has the form of a picture as [h, w]."""
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 3 and array.shape[0] in _CHANNELS:
        array = array.mean(axis=0)
    elif array.ndim == 3 and array.shape[2] in _CHANNELS:
        array = array.mean(axis=2)
    elif array.ndim == 1 and math.isqrt(array.size) ** 2 == array.size:
        array = array.reshape(math.isqrt(array.size), -1)
    fits = array.ndim == 2 and min(array.shape) >= _LEAST_SIDE
    return np.asarray(array, np.float32) if fits else None


def _resized(picture: NDArray[np.float32]) -> Matrix:
    if picture.shape != (SIDE, SIDE):
        picture = np.asarray(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
    return np.asarray(picture, np.float32).reshape(SIZE)


def _vector(values: Matrix) -> Matrix:
    if len(values) > SIZE:
        values = np.array([part.mean() for part in np.array_split(values, SIZE)], np.float32)
    found = np.zeros(SIZE, np.float32)
    found[: len(values)] = values
    return found
