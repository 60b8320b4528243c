"""The camera's share of a picture: exposure, colour, blur, noise and compression."""

import cv2
import numpy as np
from numpy.typing import NDArray

from services.training.segmenter.textures import Image, Rng, choose, grid, noise


def _tone(rng: Rng, image: Image) -> Image:
    """Automatic exposure with an error, colour cast, contrast and gamma."""
    mean = float(image[::4, ::4].mean())
    goal = float(np.clip(rng.normal(0.42, 0.12), 0.12, 0.75))
    # Only part of the way, or night scenes and snow would all turn to grey.
    gain = np.clip(goal / max(mean, 0.02), 0.3, 4.0) ** rng.uniform(0.4, 1)
    image = image * np.float32(gain)
    cast = np.exp(rng.normal(0, 0.09, 3)).astype(np.float32)
    error = np.float32(np.exp(rng.normal(0, 0.08)))
    pivot = np.float32(rng.uniform(0.3, 0.6))
    slope = np.float32(np.exp(rng.normal(0.0, 0.18)))
    toned: Image = np.clip((image * (cast * error) - pivot) * slope + pivot, 0.0, 1.0)
    if rng.random() < 0.5:
        # A table is far cheaper than a power per pixel.
        curve = np.linspace(0, 1, 1024, dtype=np.float32) ** np.float32(np.exp(rng.normal(0, 0.25)))
        toned = np.take(curve, (toned * 1023).astype(np.int32))
    if rng.random() < 0.12:  # haze: lifted blacks
        toned = toned * np.float32(0.75) + np.float32(rng.uniform(0.05, 0.25))
    return np.asarray(toned, dtype=np.float32)


def _vignette(rng: Rng, image: Image) -> Image:
    h, w = image.shape[:2]
    x, y = grid(h, w, 0.0)
    fall = np.float32(rng.uniform(0.1, 0.7)) * ((x / w) ** 2 + (y / h) ** 2)
    return np.asarray(image * (1 - fall)[..., None], np.float32)


def _optics(rng: Rng, image: Image) -> Image:
    roll = float(rng.random())
    unit = image.shape[0] / 256
    if roll < 0.25:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.2) * unit), np.float32)
    if roll < 0.32:  # motion
        length = 2 * int(rng.integers(1, 4)) + 1
        kernel = np.zeros((length, length), np.float32)
        angle, half = float(rng.uniform(0, np.pi)), length // 2
        dx, dy = round(half * np.cos(angle)), round(half * np.sin(angle))
        cv2.line(kernel, (half - dx, half - dy), (half + dx, half + dy), 1.0, 1)
        return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.float32)
    if roll < 0.42:  # enlarged from a smaller picture
        h, w = image.shape[:2]
        scale = float(rng.uniform(0.4, 0.9))
        small = cv2.resize(image, (int(w * scale), int(h * scale)), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, (w, h), interpolation=cv2.INTER_CUBIC), np.float32)
    if roll < 0.55:  # sharpened in the camera
        soft = cv2.GaussianBlur(image, (0, 0), 1.2)
        return np.asarray(image + (image - soft) * float(rng.uniform(0.3, 1.2)), np.float32)
    return image


def _sensor(rng: Rng, image: Image) -> Image:
    h, w = image.shape[:2]
    level = choose(rng, (0.004, 0.012, 0.03, 0.06), (0.4, 0.35, 0.18, 0.07))
    if rng.random() < 0.5:
        grain = noise(rng, h, w)[..., None]
    else:
        grain = np.stack([noise(rng, h, w) for _ in range(3)], axis=2)
    if rng.random() < 0.4:  # shot noise grows with the light
        grain = grain * (0.3 + image)
    return (image + np.float32(level) * grain).astype(np.float32)


def photograph(rng: Rng, canvas: Image) -> NDArray[np.uint8]:
    """A uint8 RGB picture [H, W, 3] of a float canvas [H, W, 3], with a camera's defects."""
    image = _tone(rng, canvas)
    if rng.random() < 0.3:
        image = _vignette(rng, image)
    if rng.random() < 0.12:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
        grey = True
    else:
        grey = False
    image = _sensor(rng, _optics(rng, image))
    if grey:
        image = np.repeat(image[..., :1], 3, axis=2)
    picture = np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        quality = int(rng.integers(30, 95))
        _, code = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        picture = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(picture)
