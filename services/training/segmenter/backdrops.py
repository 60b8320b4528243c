"""Backgrounds without objects: studio, landscape, wall and table, patchwork, bokeh, clutter.

Canvases are float32 RGB [H, W, 3] in 0..1.
"""

import cv2
import numpy as np

from services.training.segmenter.rendering import Coverage, fill
from services.training.segmenter.shapes import blob
from services.training.segmenter.textures import (
    Colour,
    Image,
    Material,
    Rng,
    choose,
    field,
    grid,
    paint,
    random_colour,
    random_material,
    related,
)

_GROUND = (
    "fractal",
    "fur",
    "grain",
    "cloud",
    "gradient",
    "checks",
    "bricks",
    "cell",
    "flat",
    "speckle",
    "stripes",
)


def _blend(canvas: Image, other: Image, alpha: Image) -> Image:
    return (canvas + (other - canvas) * alpha[..., None]).astype(np.float32)


def _soft(image: Image, sigma: float) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)


def _surface(rng: Rng, h: int, w: int, base: Colour, unit: float) -> tuple[Image, Material]:
    material = random_material(rng, base, unit)
    return paint(rng, material, h, w), material


def _studio(rng: Rng, h: int, w: int, base: Colour) -> tuple[Image, Material]:
    kinds = ("flat", "gradient", "cloud", "speckle")
    material = random_material(rng, base, h / 12, kinds)
    canvas = paint(rng, material, h, w)
    glow = field(rng, h, w, "cloud", 0.25) * np.float32(rng.uniform(0, 0.2))
    return (canvas * (1 + glow)[..., None]).astype(np.float32), material


def _regions(rng: Rng, h: int, w: int, base: Colour) -> tuple[Image, Material]:
    """Two to four bands: sky, hills, ground, a wall behind a table; edges soft or ragged."""
    unit = h * float(rng.uniform(0.02, 0.15))
    canvas, _ = _surface(rng, h, w, related(rng, base, 0.3), unit)
    tilt = float(rng.normal(0, 0.12)) + (np.pi / 2 if rng.random() < 0.15 else 0)
    _, down = grid(h, w, tilt)
    material = random_material(rng, base, unit, _GROUND)
    for level in np.sort(rng.uniform(-0.35, 0.4, int(rng.integers(1, 4)))):
        rough = field(rng, h, w, "cloud", float(rng.uniform(0.3, 1.2)))
        edge = down - np.float32(level * h) + rough * np.float32(choose(rng, (0.0, 3.0, 10.0)))
        soft = np.float32(choose(rng, (0.7, 1.5, 6.0)))
        colour = random_colour(rng) if rng.random() < 0.5 else related(rng, base, 0.3)
        material = random_material(rng, colour, unit, _GROUND)
        alpha = np.clip(0.5 + edge / soft, 0, 1).astype(np.float32)
        canvas = _blend(canvas, paint(rng, material, h, w), alpha)
    return canvas, material


def _patchwork(rng: Rng, h: int, w: int, base: Colour) -> tuple[Image, Material]:
    """Large regions with wandering borders: foliage, rock, furniture out of attention."""
    unit = h * float(rng.uniform(0.02, 0.12))
    canvas, material = _surface(rng, h, w, base, unit)
    for _ in range(int(rng.integers(2, 5))):
        zoom = 2 * float(rng.uniform(0.4, 1))  # at half size, it is blurred anyway
        form = field(rng, h // 2, w // 2, choose(rng, ("cloud", "fractal")), zoom)
        form = _soft(form, float(rng.uniform(0.7, 3)))
        form = np.asarray(cv2.resize(form, (w, h)), np.float32)
        steep = np.float32(choose(rng, (1.5, 4.0, 12.0)))
        alpha = np.clip(0.5 + (form - np.float32(rng.uniform(-0.3, 1.0))) * steep, 0, 1)
        colour = random_colour(rng) if rng.random() < 0.4 else related(rng, base, 0.3)
        other, material = _surface(rng, h, w, colour, unit)
        canvas = _blend(canvas, other, alpha.astype(np.float32))
    return canvas, material


def _bokeh(rng: Rng, h: int, w: int, base: Colour) -> tuple[Image, Material]:
    """Out-of-focus discs and shapes over a blurred ground; nothing in it is an object."""
    full, (h, w) = (w, h), (h // 4, w // 4)  # blurred anyway
    canvas, material = _patchwork(rng, h, w, base)
    for _ in range(int(rng.integers(3, 14))):
        cover: Coverage = np.zeros((h, w), np.uint8)
        size = h * float(rng.uniform(0.03, 0.4))
        fill(cover, blob(rng, 0.15) * size + rng.uniform(0, h, 2), 255)
        colour = related(rng, base, 0.4) if rng.random() < 0.6 else random_colour(rng)
        alpha = cover.astype(np.float32) * np.float32(rng.uniform(0.2, 0.8) / 255)
        canvas += (colour - canvas) * alpha[..., None]
    canvas = _soft(canvas, h * float(rng.uniform(0.015, 0.05)))
    return np.asarray(cv2.resize(canvas, full, interpolation=cv2.INTER_CUBIC)), material


def _interior(rng: Rng, h: int, w: int, base: Colour) -> tuple[Image, Material]:
    """Walls, panels, doors, shelves and flags: straight-edged areas that run out of the frame."""
    unit = h * float(rng.uniform(0.02, 0.1))
    canvas, material = _surface(rng, h, w, base, unit)
    for _ in range(int(rng.integers(2, 7))):
        cover: Coverage = np.zeros((h, w), np.uint8)
        low, high = np.sort(rng.uniform(-0.2, 1.2, 2))
        start = float(rng.uniform(-0.2, 1.0))
        corners = np.array([[low, start], [high, start], [high, 1.5], [low, 1.5]])
        corners += rng.normal(0, 0.02, (4, 2))
        side = int(rng.integers(4))  # the border that the panel runs out of
        corners = corners[:, ::-1] if side % 2 else corners
        corners = 1 - corners if side > 1 else corners
        fill(cover, corners * h, 255)
        colour = random_colour(rng) if rng.random() < 0.4 else related(rng, base, 0.3)
        other, material = _surface(rng, h, w, colour, unit)
        canvas = _blend(canvas, other, np.asarray(cover / 255, np.float32))
    if rng.random() < 0.5:
        canvas = _soft(canvas, h * float(rng.uniform(0.003, 0.015)))
    return canvas, material


def _texture(rng: Rng, h: int, w: int, base: Colour) -> tuple[Image, Material]:
    canvas, material = _surface(rng, h, w, base, h * float(rng.uniform(0.015, 0.15)))
    if rng.random() < 0.5:
        glow = field(rng, h, w, "cloud", 0.3) * np.float32(rng.uniform(0, 0.3))
        canvas = (canvas * np.maximum(1 + glow, 0.2)[..., None]).astype(np.float32)
    return canvas, material


def _clutter(rng: Rng, canvas: Image) -> None:
    """Marks that are no objects: scratches, cables, lines of writing, cracks."""
    h, w = canvas.shape[:2]
    colour = tuple(float(c) for c in random_colour(rng))
    kind = int(rng.integers(4))
    if kind == 0:  # straight scratches and edges
        for _ in range(int(rng.integers(1, 10))):
            a, b = (tuple(int(v) for v in rng.integers(-w // 4, w + w // 4, 2)) for _ in "ab")
            cv2.line(canvas, a, b, colour, 1, cv2.LINE_AA)
    elif kind == 1:  # wandering lines: twigs, cracks, cables
        for _ in range(int(rng.integers(1, 6))):
            walk = np.cumsum(rng.normal(0, h / 25, (14, 2)) + rng.normal(0, h / 30, 2), axis=0)
            points = np.round(walk + rng.uniform(0, h, 2)).astype(np.int32)
            cv2.polylines(canvas, [points], False, colour, int(rng.integers(1, 3)), cv2.LINE_AA)
    elif kind == 2:  # rows of text-like marks
        y, x = (float(v) for v in rng.uniform(0, h, 2))
        pitch, glyph = h * float(rng.uniform(0.02, 0.05)), h * float(rng.uniform(0.008, 0.02))
        for row in range(int(rng.integers(1, 7))):
            for column in range(int(rng.integers(4, 25))):
                at = np.array([x + column * glyph * 1.6, y + row * pitch])
                ends = np.round(at + rng.uniform(-glyph, glyph, (3, 2))).astype(np.int32)
                cv2.polylines(canvas, [ends], False, colour, 1, cv2.LINE_AA)
    else:  # fine speckles
        for x, y in rng.integers(0, h, (int(rng.integers(10, 120)), 2)):
            cv2.circle(canvas, (int(x), int(y)), 1, colour, -1, cv2.LINE_AA)


def _loose_shadow(rng: Rng, canvas: Image) -> None:
    """A shadow whose owner is out of the picture, or a patch of light."""
    h, w = canvas.shape[:2]
    step = 4
    cover: Coverage = np.zeros((h // step, w // step), np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        points = blob(rng, 0.4) * h * rng.uniform(0.1, 0.5, 2) + rng.uniform(-0.1, 1.1, 2) * h
        fill(cover, points / step, 255)
    soft = _soft(np.asarray(cover / 255, np.float32), float(rng.uniform(1.0, 6.0)))
    full = np.asarray(cv2.resize(soft, (w, h)), np.float32)
    canvas *= (1 + np.float32(rng.uniform(-0.6, 0.3)) * full)[..., None]


_MAKERS = (_studio, _regions, _patchwork, _bokeh, _texture, _interior)
_SHARES = (0.14, 0.24, 0.18, 0.13, 0.16, 0.15)


def backdrop(rng: Rng, h: int, w: int, even: bool = False) -> tuple[Image, Material]:
    """A background [h, w, 3] and one of the materials in it (for camouflaged objects).

    `even` asks for a plain or unevenly lit ground, as under coins or cells.
    """
    base = random_colour(rng)
    if even:
        canvas, material = _studio(rng, h, w, base)
        if rng.random() < 0.6:
            slope, _ = grid(h, w, float(rng.uniform(0, 2 * np.pi)))
            canvas *= (1 + slope * np.float32(rng.uniform(0, 1.2) / h))[..., None]
    else:
        maker = choose(rng, _MAKERS, _SHARES)
        canvas, material = maker(rng, h, w, base)
        if rng.random() < 0.3:
            canvas = _soft(canvas, h * float(rng.uniform(0.002, 0.02)))
    canvas = np.ascontiguousarray(np.clip(canvas, 0.0, 1.0), np.float32)
    if rng.random() < (0.1 if even else 0.35):
        _clutter(rng, canvas)
    if rng.random() < 0.25:
        _loose_shadow(rng, canvas)
    return canvas, material
