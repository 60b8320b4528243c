"""Painting of one object into a picture: surfaces, relief shading, highlights and shadows.

Canvases are float32 RGB [H, W, 3] in 0..1; coverages are uint8 [H, W] with 255 for inside.
"""

import dataclasses
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from services.training.segmenter.shapes import Part, Points, Shape
from services.training.segmenter.textures import (
    Colour,
    Image,
    Material,
    Rng,
    choose,
    paint,
    random_colour,
    random_material,
    related,
    skin_colour,
)
from services.training.segmenter.textures import field as texture_field

Coverage = NDArray[np.uint8]
_FURRY = ("fur", "fur", "fur", "stripes", "spots", "fractal", "camouflage", "cloud")
_SUBPIXEL = 4  # fractional bits of the polygon filler


@dataclass(frozen=True, slots=True)
class Light:
    """The light of a scene: direction in the picture plane [2], height, and shadow character."""

    x: float
    y: float
    z: float
    shadow: float  # 0..1 darkness
    blur: float  # shadow softness as a fraction of the object's size


@dataclass(frozen=True, slots=True)
class Look:
    """How one object is painted."""

    base: Colour
    kinds: tuple[str, ...] | None  # texture families of its main surface, None for any
    coherence: float  # 0..1, how closely its other surfaces follow the base colour
    relief: float  # strength of the shape-from-distance shading
    bump: float  # strength of an embossed texture
    gloss: float
    blur: float  # defocus in pixels
    # Surfaces by part number; a dictionary common to several objects makes them of a kind.
    surfaces: dict[int, Material] = dataclasses.field(default_factory=dict)


def fill(coverage: Coverage, points: Points, value: int, offset: tuple[int, int] = (0, 0)) -> None:
    """Fill an outline into a coverage with antialiased edges; `offset` is the (x, y) origin."""
    scaled = np.clip(points - np.array(offset), -4000, 4000) * (1 << _SUBPIXEL)
    # The filler's pixel centres lie on integers, ours on halves.
    fixed = np.round(scaled - (1 << _SUBPIXEL) / 2).astype(np.int32)
    cv2.fillPoly(coverage, [fixed], value, cv2.LINE_AA, _SUBPIXEL)


def silhouette(shape: Shape, h: int, w: int) -> Coverage:
    """The coverage [h, w] of a placed shape: solid parts less holes, cut by the frame."""
    coverage = np.zeros((h, w), np.uint8)
    for part in shape.parts:
        if not part.decal:
            fill(coverage, part.points, 0 if part.hole else 255)
    return coverage


def window(coverage: Coverage, margin: int) -> tuple[slice, slice] | None:
    """The rows and columns that hold anything, grown by `margin` pixels, or None if empty."""
    x, y, w, h = cv2.boundingRect(coverage)
    if w == 0 or h == 0:
        return None
    return slice(max(y - margin, 0), y + h + margin), slice(max(x - margin, 0), x + w + margin)


def _soften(image: Image, sigma: float) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)


def lambert(coverage: Coverage, light: Light, roundness: float) -> tuple[Image, Image]:
    """Diffuse shade in about -1..1 and highlight in 0..1, both [h, w], of a puffed-up coverage."""
    h, w = coverage.shape
    scale = min(1.0, 56 / max(h, w))  # smooth by nature, so a small version is enough
    small = cv2.resize(coverage, (max(2, round(w * scale)), max(2, round(h * scale))))
    inside = np.zeros((small.shape[0] + 2, small.shape[1] + 2), np.uint8)
    inside[1:-1, 1:-1] = small > 127
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 3)[1:-1, 1:-1]
    radius = max(float(depth.max()) * roundness, 1.5)
    t = np.minimum(depth / radius, 1.0)
    height = radius * np.sqrt(np.maximum(1 - (1 - t) ** 2, 0)).astype(np.float32)
    height = _soften(height, max(0.8, radius * 0.16))
    gx = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=0.125)
    gy = cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=0.125)
    nz = 1 / np.sqrt(1 + gx * gx + gy * gy)
    across = -(gx * light.x + gy * light.y) * nz
    shine = np.clip((across * 0.75 + nz * 0.66), 0, 1) ** 40
    both = np.stack([across + 0.25 * (nz - 1), shine], axis=2).astype(np.float32)
    full = cv2.resize(both, (w, h), interpolation=cv2.INTER_LINEAR)
    return np.asarray(full[..., 0], np.float32), np.asarray(full[..., 1], np.float32)


def cast_shadow(canvas: Image, coverage: Coverage, light: Light, rng: Rng, stands: bool) -> None:
    """Darken the canvas where an object with this coverage keeps the light away."""
    h, w = coverage.shape
    step = 4
    small = cv2.resize(coverage, (w // step, h // step), interpolation=cv2.INTER_AREA)
    _, y, bw, bh = cv2.boundingRect(small)
    if bw == 0:
        return
    size = float(max(bw, bh))
    reach = float(rng.uniform(0.04, 0.3)) * size
    if stands:  # lies down along the ground from the object's foot
        foot, squash = y + bh, float(rng.uniform(0.1, 0.5))
        shear = -light.x * float(rng.uniform(0.2, 1.0))
        matrix = np.array([[1, shear, -shear * foot], [0, squash, foot * (1 - squash)]])
    else:
        matrix = np.array([[1, 0, -light.x * reach], [0, 1, -light.y * reach]])
    moved = cv2.warpAffine(small, matrix, (w // step, h // step))
    sigma = max(0.5, light.blur * size)
    soft = cv2.GaussianBlur(moved.astype(np.float32), (0, 0), sigma) / 255
    where = window((soft > 0.02).astype(np.uint8), 1)
    if where is None:
        return
    rows = slice(where[0].start * step, min(where[0].stop, h // step) * step)
    cols = slice(where[1].start * step, min(where[1].stop, w // step) * step)
    patch = soft[where]
    full = cv2.resize(patch, (cols.stop - cols.start, rows.stop - rows.start))
    canvas[rows, cols] *= (1 - np.float32(light.shadow) * full)[..., None]


class _Surfaces:
    """The materials of one object, made when first asked for."""

    def __init__(self, rng: Rng, look: Look, furry: bool, unit: float) -> None:
        self._rng, self._look, self._unit = rng, look, unit
        self._kinds = _FURRY if furry and look.kinds is None else look.kinds
        self._made = look.surfaces

    def of(self, part: Part) -> Material:
        if part.material not in self._made:
            self._made[part.material] = self._make(part)
        return self._made[part.material]

    def _make(self, part: Part) -> Material:
        rng = self._rng
        plain = ("flat", "gradient", "cloud", "fractal")
        if part.tone == "skin":
            return random_material(rng, skin_colour(rng), self._unit, ("cloud", "flat"))
        if part.tone in ("dark", "light", "glass"):
            low, high = {"dark": (0.01, 0.18), "light": (0.8, 1.0), "glass": (0.1, 0.7)}[part.tone]
            grey = np.full(3, rng.uniform(low, high)) + rng.normal(0, 0.03, 3)
            colour = np.clip(grey, 0, 1).astype(np.float32)
            return random_material(rng, colour, self._unit, plain)
        if part.material == 0:
            return random_material(rng, self._look.base, self._unit, self._kinds)
        if rng.random() < self._look.coherence:
            colour = related(rng, self._look.base, 0.15)
        else:
            colour = random_colour(rng)
        kinds = self._kinds if rng.random() < 0.5 else (plain if rng.random() < 0.6 else None)
        return random_material(rng, colour, self._unit, kinds)


def _part_box(part: Part, rows: slice, cols: slice) -> tuple[int, int, int, int] | None:
    x0, y0 = np.floor(part.points.min(axis=0)).astype(int) - 1
    x1, y1 = np.ceil(part.points.max(axis=0)).astype(int) + 2
    x0, x1 = max(x0, cols.start), min(x1, cols.stop)
    y0, y1 = max(y0, rows.start), min(y1, rows.stop)
    return (x0, y0, x1, y1) if x1 - x0 > 1 and y1 - y0 > 1 else None


def _paint_parts(
    layer: Image, shape: Shape, rows: slice, cols: slice, look: Look, light: Light, rng: Rng
) -> None:
    size = float(max(layer.shape[:2]))
    unit = max(4.0, size * float(rng.uniform(0.04, 0.25)))
    surfaces = _Surfaces(rng, look, shape.furry, unit)
    roundness = float(rng.uniform(0.3, 1.1))
    several = sum(not (p.decal or p.hole) for p in shape.parts) > 1 and rng.random() < 0.75
    for part in shape.parts:
        found = None if part.hole else _part_box(part, rows, cols)
        if found is None:
            continue
        x0, y0, x1, y1 = found
        coverage = np.zeros((y1 - y0, x1 - x0), np.uint8)
        fill(coverage, part.points, 255, (x0, y0))
        patch = layer[y0 - rows.start : y1 - rows.start, x0 - cols.start : x1 - cols.start]
        alpha = coverage.astype(np.float32)[..., None] / 255
        material = surfaces.of(part)
        if coverage.size < 200:  # too small to show a texture
            patch += (material.colours[0] - patch) * alpha
            continue
        surface = paint(rng, material, y1 - y0, x1 - x0)
        if look.relief > 0 and several and not part.decal and min(coverage.shape) > 9:
            shade, _ = lambert(coverage, light, roundness)
            surface *= (1 + np.float32(look.relief) * shade)[..., None]
        patch += (surface - patch) * alpha


def _finish(layer: Image, coverage: Coverage, look: Look, light: Light, rng: Rng) -> None:
    """Shading of the object as a whole: one form, one highlight, one embossing."""
    h, w = coverage.shape
    shade, shine = lambert(coverage, light, float(rng.uniform(0.3, 1.2)))
    gain = 1 + np.float32(0.8 * look.relief) * shade
    if look.bump > 0:
        kind = choose(rng, ("fractal", "band", "cell", "cloud"))
        ground = _soften(texture_field(rng, h, w, kind, float(rng.uniform(0.6, 1.6))), 0.8)
        gx = cv2.Sobel(ground, cv2.CV_32F, 1, 0, scale=0.25)
        gy = cv2.Sobel(ground, cv2.CV_32F, 0, 1, scale=0.25)
        gain = gain + np.float32(look.bump) * np.clip(gx * light.x + gy * light.y, -1.5, 1.5)
    layer *= np.maximum(gain, 0.05)[..., None]
    if look.gloss > 0:
        layer += np.float32(look.gloss) * shine[..., None]
    if rng.random() < 0.25:  # light falls off along the object
        fall = np.linspace(1 - rng.uniform(0, 0.6), 1, h, dtype=np.float32)
        layer *= (fall if rng.random() < 0.5 else fall[::-1])[:, None, None]


def draw(
    canvas: Image, shape: Shape, coverage: Coverage, look: Look, light: Light, rng: Rng
) -> None:
    """Paint a placed shape, whose coverage is [H, W], over the canvas in place."""
    where = window(coverage, 2 + round(3 * look.blur))
    if where is None:
        return
    h, w = coverage.shape
    rows = slice(where[0].start, min(where[0].stop, h))
    cols = slice(where[1].start, min(where[1].stop, w))
    part = coverage[rows, cols]
    layer = np.empty((*part.shape, 3), np.float32)
    layer[:] = look.base
    _paint_parts(layer, shape, rows, cols, look, light, rng)
    _finish(layer, part, look, light, rng)
    alpha = np.asarray(part * np.float32(1 / 255), np.float32)
    if look.blur > 0.3:
        layer, alpha = _soften(layer, look.blur), _soften(alpha, look.blur)
    target = canvas[rows, cols]
    target += (np.clip(layer, 0, 1) - target) * alpha[..., None]
