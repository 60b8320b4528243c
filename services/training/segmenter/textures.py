"""Procedural colour and texture: palettes, noise fields and painted materials.

All pictures here are float32 RGB in 0..1 with shape [H, W, 3]; all scalar fields are float32
[H, W] with a mean near 0 and a standard deviation near 1.
"""

import colorsys
from bisect import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Rng = np.random.Generator
_T = TypeVar("_T")

_TILE = 512


def _normalised(values: NDArray[Any]) -> Image:
    values = values - values.mean()
    scaled: Image = np.clip(values / (values.std() + 1e-9), -3.0, 3.0).astype(np.float32)
    return scaled


def _spectral(rng: Rng, power: float, aspect: float, band: float | None = None) -> Image:
    """Periodic noise with amplitude 1/f^power, stretched by `aspect`, or limited to a band."""
    fy = np.fft.fftfreq(_TILE)[:, None] * _TILE
    fx = np.fft.rfftfreq(_TILE)[None, :] * _TILE
    radius = np.hypot(fx * aspect, fy)
    radius[0, 0] = 1.0
    if band is None:
        gain = 1.0 / np.maximum(radius, 2.0) ** power
    else:
        gain = np.exp(-((np.log(radius / band)) ** 2) / 0.08)
    spectrum = np.fft.rfft2(rng.standard_normal((_TILE, _TILE))) * gain
    spectrum[0, 0] = 0.0
    return _normalised(np.fft.irfft2(spectrum, s=(_TILE, _TILE)))


def _cellular(rng: Rng, count: int) -> Image:
    """Periodic distance to the nearest of `count` random points: pebbles, cracks, scales."""
    canvas = np.full((_TILE, _TILE), 255, np.uint8)
    points = rng.integers(0, _TILE, (count, 2))
    canvas[points[:, 0], points[:, 1]] = 0
    wide = np.pad(canvas, _TILE // 4, mode="wrap")
    distance = cv2.distanceTransform(wide, cv2.DIST_L2, 5)
    quarter = _TILE // 4
    return _normalised(np.asarray(distance)[quarter:-quarter, quarter:-quarter])


@lru_cache(maxsize=1)
def _bank() -> dict[str, tuple[Image, ...]]:
    # Built from a fixed seed, so a scene never depends on which scenes came before it.
    rng = np.random.default_rng(20240229)
    return {
        "white": (_normalised(rng.standard_normal((_TILE, _TILE))),),
        "fractal": tuple(_spectral(rng, p, 1.0) for p in (0.7, 0.9, 1.1, 1.3, 1.5, 1.7)),
        "cloud": tuple(_spectral(rng, p, 1.0) for p in (1.9, 2.2, 2.5)),
        "fur": tuple(_spectral(rng, p, a) for p, a in ((0.8, 6.0), (1.1, 9.0), (1.3, 5.0))),
        "grain": tuple(_spectral(rng, p, a) for p, a in ((1.0, 25.0), (1.3, 16.0))),
        "band": tuple(_spectral(rng, 0.0, 1.0, b) for b in (10.0, 24.0, 48.0)),
        "cell": tuple(_cellular(rng, n) for n in (60, 250, 900)),
    }


def field(
    rng: Rng, h: int, w: int, kind: str, zoom: float = 1.0, angle: float | None = None
) -> Image:
    """A random window [h, w] of a noise family; `zoom` is tile pixels per picture pixel."""
    tiles = _bank()[kind]
    tile = tiles[int(rng.integers(len(tiles)))]
    turn = float(rng.uniform(0, 2 * np.pi)) if angle is None else angle
    c, s = zoom * np.cos(turn), zoom * np.sin(turn)
    shift = rng.uniform(0, _TILE, 2)
    matrix = np.array([[c, -s, shift[0]], [s, c, shift[1]]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    out = cv2.warpAffine(tile, matrix, (w, h), flags=flags, borderMode=cv2.BORDER_WRAP)
    return np.asarray(out, dtype=np.float32)


def noise(rng: Rng, h: int, w: int) -> Image:
    """Uncorrelated unit noise [h, w], cut from a fixed tile (much cheaper than drawing it)."""
    tile = _bank()["white"][0]
    y, x = (int(v) for v in rng.integers(0, _TILE, 2))
    rows = np.arange(y, y + h) % _TILE
    cols = np.arange(x, x + w) % _TILE
    out: Image = tile[rows[:, None], cols[None, :]]
    return out if rng.random() < 0.5 else -out[::-1]


def grid(h: int, w: int, angle: float) -> tuple[Image, Image]:
    """Pixel coordinates [h, w] along and across a direction, from the patch centre."""
    y = np.arange(h, dtype=np.float32)[:, None] - h / 2
    x = np.arange(w, dtype=np.float32)[None, :] - w / 2
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return (c * x + s * y).astype(np.float32), (c * y - s * x).astype(np.float32)


Colour = NDArray[np.float32]


def choose(rng: Rng, items: Sequence[_T], weights: tuple[float, ...] | None = None) -> _T:
    """One of the items; several times faster than `Generator.choice` for short lists."""
    roll = float(rng.random())
    if weights is None:
        return items[int(roll * len(items))]
    return items[min(bisect(_cumulative(weights), roll), len(items) - 1)]


@lru_cache(maxsize=64)
def _cumulative(weights: tuple[float, ...]) -> list[float]:
    total = sum(weights)
    return [s / total for s in accumulate(weights)]


def random_colour(rng: Rng) -> Colour:
    """An RGB colour [3] in 0..1 with a photographic bias: mostly dull, often earthy."""
    if rng.random() < 0.45:
        hue = float(rng.normal(0.09, 0.06)) % 1.0
    else:
        hue = float(rng.random())
    saturation = float(rng.beta(1.2, 2.6))
    value = float(rng.uniform(0.05, 0.98))
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value), np.float32)


def related(rng: Rng, colour: Colour, spread: float = 0.12) -> Colour:
    """A colour near `colour`: a common brightness change and a smaller change of hue."""
    gain = np.exp(rng.normal(0, 2.2 * spread))
    shifted = colour * gain + rng.normal(0, spread * 0.45, 3)
    limited: Colour = np.minimum(np.maximum(shifted, 0.01), 1.0).astype(np.float32)
    return limited


def skin_colour(rng: Rng) -> Colour:
    """A human skin tone [3]."""
    t = float(rng.random())
    tone = (1 - t) * np.array([0.92, 0.74, 0.62]) + t * np.array([0.33, 0.2, 0.13])
    return related(rng, tone.astype(np.float32), 0.06)


@dataclass(frozen=True, slots=True)
class Material:
    """A paintable surface: the texture family, its colour ramp, feature size and direction."""

    kind: str
    colours: tuple[Colour, ...]
    period: float  # pixels between repeats of the pattern
    angle: float
    contrast: float  # 0..1, how much of the colour ramp the pattern uses
    mottle: float  # brightness modulation on top of the pattern


KINDS = (
    "flat",
    "gradient",
    "fractal",
    "cloud",
    "fur",
    "grain",
    "stripes",
    "marble",
    "spots",
    "checks",
    "bricks",
    "camouflage",
    "cell",
    "speckle",
)
_WEIGHTS = (5.0, 4.0, 5.0, 4.0, 4.0, 2.0, 2.0, 1.5, 2.0, 0.8, 0.7, 1.5, 1.5, 1.5)


def random_material(
    rng: Rng, base: Colour, unit: float, kinds: tuple[str, ...] | None = None
) -> Material:
    """A random surface around a base colour; `unit` is the pixels of a typical detail."""
    kind = choose(rng, kinds) if kinds else choose(rng, KINDS, _WEIGHTS)
    spread = choose(rng, (0.06, 0.12, 0.22, 0.4), (0.3, 0.35, 0.25, 0.1))
    colours = [base] + [related(rng, base, spread) for _ in range(int(rng.integers(1, 4)))]
    if kind in ("stripes", "spots", "checks", "camouflage") and rng.random() < 0.5:
        colours[-1] = random_colour(rng)
    return Material(
        kind,
        tuple(colours),
        max(3.0, unit * float(np.exp(rng.normal(0.0, 0.6)))),
        float(rng.uniform(0, np.pi)),
        float(rng.beta(2, 1.5)),
        choose(rng, (0.0, 0.03, 0.07, 0.14)),
    )


def _wave(t: Image, sharp: float) -> Image:
    return np.tanh(np.sin(t) * np.float32(sharp)).astype(np.float32)


def _stripes(rng: Rng, m: Material, h: int, w: int) -> Image:
    along, _ = grid(h, w, m.angle)
    bend = field(rng, h, w, "cloud", 0.7) * np.float32(choose(rng, (0.0, 0.4, 1.2)))
    return _wave(along * np.float32(2 * np.pi / m.period) + bend, float(rng.uniform(1, 5)))


def _checks(rng: Rng, m: Material, h: int, w: int) -> Image:
    a, b = grid(h, w, m.angle)
    k = np.float32(2 * np.pi / m.period)
    if rng.random() < 0.5:
        return (_wave(a * k, 4) * _wave(b * k, 4)).astype(np.float32)
    return np.maximum(_wave(a * k, 4), _wave(b * k, 4)).astype(np.float32)


def _bricks(rng: Rng, m: Material, h: int, w: int) -> Image:
    angle = 0.0 if rng.random() < 0.7 else m.angle
    a, b = grid(h, w, angle)
    row = np.floor(b / np.float32(m.period))
    column = a / np.float32(m.period * rng.uniform(1.5, 3)) + 0.5 * (row % 2)
    tone = np.sin(row * 12.9898 + np.floor(column) * 78.233) * 0.8
    edge = np.maximum(np.abs(b / m.period - row - 0.5) * 2, np.abs(column % 1.0 - 0.5) * 2)
    return np.where(edge > 0.88, -2.0, tone + 0.4).astype(np.float32)


def _noise_of(kind: str, reference: float) -> Callable[[Rng, Material, int, int], Image]:
    def build(rng: Rng, m: Material, h: int, w: int) -> Image:
        return field(rng, h, w, kind, float(np.clip(reference / m.period, 0.25, 1.6)), m.angle)

    return build


def _quantised(rng: Rng, m: Material, h: int, w: int) -> Image:
    base = field(rng, h, w, "fractal", float(np.clip(14 / m.period, 0.25, 1.2)), m.angle)
    base = np.asarray(cv2.GaussianBlur(base, (0, 0), max(1.0, m.period / 8)), np.float32)
    return (np.round(base * 2.2) / 1.3).astype(np.float32)


def _spots(rng: Rng, m: Material, h: int, w: int) -> Image:
    base = field(rng, h, w, "band", float(np.clip(20 / m.period, 0.3, 1.6)), m.angle)
    return np.asarray(np.tanh((base - np.float32(rng.uniform(0.2, 1.2))) * 5) * 1.5, np.float32)


def _marble(rng: Rng, m: Material, h: int, w: int) -> Image:
    return _wave(field(rng, h, w, "cloud", 0.8) * np.float32(rng.uniform(2, 6)), 1.0) * 1.2


def _gradient(rng: Rng, m: Material, h: int, w: int) -> Image:
    along, _ = grid(h, w, m.angle)
    return np.asarray(along / (0.15 * (h + w) + 1), np.float32)


_BUILDERS: dict[str, Callable[[Rng, Material, int, int], Image]] = {
    "gradient": _gradient, "fractal": _noise_of("fractal", 10), "cloud": _noise_of("cloud", 8),
    "fur": _noise_of("fur", 12), "grain": _noise_of("grain", 12), "stripes": _stripes,
    "marble": _marble, "spots": _spots, "checks": _checks, "bricks": _bricks,
    "camouflage": _quantised, "cell": _noise_of("cell", 12),
}  # fmt: skip


def paint(rng: Rng, m: Material, h: int, w: int) -> Image:
    """Fill a patch [h, w, 3] with a material."""
    if m.kind == "flat":
        out = np.empty((h, w, 3), np.float32)
        out[:] = m.colours[0]
    else:
        values = noise(rng, h, w) if m.kind == "speckle" else _BUILDERS[m.kind](rng, m, h, w)
        # OpenCV's saturating conversion is the clip: |a x + b| limited to 0..255.
        index = cv2.convertScaleAbs(
            np.maximum(values, -127 / (20 + 60 * m.contrast)),
            alpha=20 + 60 * m.contrast,
            beta=127.5,
        )
        out = np.asarray(cv2.LUT(cv2.merge([index] * 3), _ramp(m.colours)), np.float32)
    if m.mottle > 0:
        grain = field(rng, h, w, "fractal", float(rng.uniform(0.4, 1.2)))
        grain = np.minimum(1 + np.float32(m.mottle) * grain, 1.3)
        out *= grain[..., None]
    return out


def _ramp(colours: tuple[Colour, ...]) -> Image:
    """A look-up table [1, 256, 3] through the colours in order."""
    stops = np.stack(colours)[None]
    if stops.shape[1] == 1:
        return np.repeat(stops, 256, axis=1)
    # Interpolation between few colours is a small matrix product with fixed weights.
    table: Image = _ramp_weights(stops.shape[1]) @ stops[0]
    return table[None]


@lru_cache(maxsize=8)
def _ramp_weights(stops: int) -> Image:
    at = np.linspace(0, stops - 1, 256, dtype=np.float32)[:, None]
    away = np.abs(at - np.arange(stops, dtype=np.float32))
    return np.asarray(np.maximum(0, 1 - away), np.float32)
