"""Outlines of things: simple contours and the containers that compounds are built from.

Shapes live in their own unit frame, x to the right and y down, of any extent; `Shape.placed`
scales them to pixels. Points are float64 [K, 2].
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Part:
    """One filled outline of a shape.

    `material` indexes the surfaces of the object (equal numbers share a surface). A `decal`
    shows only where the solid parts already are, so it never changes the object's mask. A
    `hole` takes away from everything drawn before it.
    """

    points: Points
    material: int = 0
    decal: bool = False
    hole: bool = False
    tone: str = ""  # "skin", "dark", "light", "glass" or "" for a free choice


@dataclass(frozen=True, slots=True)
class Shape:
    """A thing: its parts from back to front, and whether it has a natural upright position."""

    parts: tuple[Part, ...]
    upright: bool = False
    furry: bool = False
    name: str = field(default="")

    def placed(self, size: float, angle: float, flip: bool, x: float, y: float) -> "Shape":
        """The shape with its longest side `size` pixels, turned, centred on (x, y) pixels."""
        solid = np.concatenate([p.points for p in self.parts if not (p.decal or p.hole)])
        low, high = solid.min(axis=0), solid.max(axis=0)
        scale = size / max(float((high - low).max()), 1e-6)
        c, s = np.cos(angle) * scale, np.sin(angle) * scale
        matrix = np.array([[c, s], [-s, c]])
        if flip:
            matrix = np.array([[-1.0, 0.0], [0.0, 1.0]]) @ matrix
        centre = (low + high) / 2

        def move(points: Points) -> Points:
            return np.asarray((points - centre) @ matrix + np.array([x, y]))

        return replace(self, parts=tuple(replace(p, points=move(p.points)) for p in self.parts))

    def bent(self, rng: Rng) -> "Shape":
        """The shape under a smooth random distortion, so that no two are alike."""
        points = np.concatenate([p.points for p in self.parts])
        low = points.min(axis=0)
        span = np.maximum(points.max(axis=0) - low, 1e-6)
        amount = rng.normal(0, 0.035, (2, 2)) * span
        phase = rng.uniform(0, 2 * np.pi, (2, 2))
        rate = rng.uniform(2, 6, (2, 2))

        def warp(p: Points) -> Points:
            t = (p - low) / span
            shift = amount[0] * np.sin(t[:, ::-1] * rate[0] + phase[0])
            return np.asarray(p + shift + amount[1] * np.sin(t * rate[1] + phase[1]))

        return replace(self, parts=tuple(replace(p, points=warp(p.points)) for p in self.parts))


def ellipse(cx: float, cy: float, rx: float, ry: float, angle: float = 0.0) -> Points:
    """An ellipse outline [48, 2]."""
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    x, y = rx * np.cos(t), ry * np.sin(t)
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([cx + c * x - s * y, cy + s * x + c * y], axis=1)


def superellipse(cx: float, cy: float, rx: float, ry: float, power: float) -> Points:
    """A rounded rectangle (power above 2) or an astroid-like outline (below 1) [64, 2]."""
    t = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    c, s = np.cos(t), np.sin(t)
    x = np.sign(c) * np.abs(c) ** (2 / power)
    y = np.sign(s) * np.abs(s) ** (2 / power)
    return np.stack([cx + rx * x, cy + ry * y], axis=1)


def capsule(a: tuple[float, float], b: tuple[float, float], ra: float, rb: float) -> Points:
    """A limb from `a` to `b` with end radii `ra` and `rb` [26, 2]."""
    turn = float(np.arctan2(b[1] - a[1], b[0] - a[0]))
    t = np.linspace(np.pi / 2, 3 * np.pi / 2, 13) + turn
    first = np.stack([a[0] + ra * np.cos(t), a[1] + ra * np.sin(t)], axis=1)
    second = np.stack([b[0] - rb * np.cos(t), b[1] - rb * np.sin(t)], axis=1)
    return np.concatenate([first, second])


def blob(rng: Rng, rough: float = 0.25, harmonics: int = 6) -> Points:
    """A smooth random contour around the origin with a radius near 1 [96, 2]."""
    t = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    k = np.arange(2, 2 + harmonics)
    gain = rng.normal(0, rough, harmonics) / (k - 1.0)
    phase = rng.uniform(0, 2 * np.pi, harmonics)
    radius = 1 + (gain[:, None] * np.sin(k[:, None] * t + phase[:, None])).sum(axis=0)
    radius = np.maximum(radius, 0.25)
    return np.stack([radius * np.cos(t), radius * np.sin(t)], axis=1)


def polygon(rng: Rng, corners: int, irregular: float) -> Points:
    """A star-convex polygon with `corners` corners, radius near 1."""
    t = (np.arange(corners) + rng.uniform(-0.35, 0.35, corners) * irregular) * 2 * np.pi / corners
    radius = 1 - rng.uniform(0, 0.5, corners) * irregular
    return np.stack([radius * np.cos(t), radius * np.sin(t)], axis=1)


def box(x0: float, y0: float, x1: float, y1: float) -> Points:
    """An axis-parallel rectangle [4, 2]."""
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)


def mirrored(profile: Points) -> Points:
    """The closed outline of a half profile (x >= 0, top to bottom) and its mirror image."""
    other = profile[::-1] * np.array([-1.0, 1.0])
    return np.concatenate([profile, other])


def smooth(points: Points, rounds: int = 2) -> Points:
    """Corner cutting on a closed outline: rounder with each round."""
    for _ in range(rounds):
        after = np.roll(points, -1, axis=0)
        points = np.stack([0.75 * points + 0.25 * after, 0.25 * points + 0.75 * after], axis=1)
        points = points.reshape(-1, 2)
    return points


def _stretched(rng: Rng, points: Points, limit: float = 2.2) -> Points:
    ratio = float(np.exp(rng.uniform(-np.log(limit), np.log(limit))))
    return np.asarray(points * np.array([ratio, 1.0]))


def _star(rng: Rng) -> Points:
    n = int(rng.integers(4, 9))
    t = np.arange(2 * n) * np.pi / n
    radius = np.where(np.arange(2 * n) % 2, float(rng.uniform(0.35, 0.75)), 1.0)
    points = np.stack([radius * np.cos(t), radius * np.sin(t)], axis=1)
    return smooth(points) if rng.random() < 0.5 else points


def _outline(rng: Rng) -> Points:
    kind = int(rng.choice(8, p=[0.2, 0.12, 0.16, 0.26, 0.05, 0.09, 0.06, 0.06]))
    if kind == 0:
        return _stretched(rng, ellipse(0, 0, 1, 1))
    if kind == 1:
        return _stretched(rng, polygon(rng, int(rng.integers(3, 8)), float(rng.random())), 1.6)
    if kind == 2:
        return _stretched(rng, superellipse(0, 0, 1, 1, float(rng.uniform(2.5, 9))))
    if kind == 3:
        return _stretched(rng, blob(rng, float(rng.uniform(0.08, 0.5))), 1.7)
    if kind == 4:
        return _star(rng)
    if kind == 5:
        return capsule(
            (-1, 0), (1, 0), float(rng.uniform(0.06, 0.5)), float(rng.uniform(0.06, 0.5))
        )
    if kind == 6:
        return box(-1, -float(rng.uniform(0.05, 0.4)), 1, float(rng.uniform(0.05, 0.4)))
    corners = polygon(rng, int(rng.integers(4, 9)), 0.8)
    return smooth(_stretched(rng, corners, 1.8))


def simple(rng: Rng) -> Shape:
    """One outline, sometimes with a hole (ring) or a handle."""
    points = _outline(rng)
    parts = [Part(points, 0)]
    roll = float(rng.random())
    if roll < 0.08:
        parts.append(Part(points * float(rng.uniform(0.4, 0.75)), 0, hole=True))
    elif roll < 0.14:
        thick = float(rng.uniform(0.1, 0.2))
        centre = float(np.abs(points[:, 0]).max())
        parts = [
            Part(ellipse(centre, 0, 0.5, 0.45), 0),
            Part(ellipse(centre, 0, 0.5 - thick, 0.45 - thick), 0, hole=True),
            Part(points, 0),
        ]
    return Shape(tuple(parts), name="simple")


def union(rng: Rng) -> Shape:
    """A few random outlines overlapping into one thing, each with its own surface or not."""
    parts: list[Part] = []
    count = int(rng.integers(2, 6))
    centre = np.zeros(2)
    for i in range(count):
        size = float(rng.uniform(0.35, 1.0))
        points = _outline(rng) * size
        turn = float(rng.uniform(0, 2 * np.pi))
        c, s = np.cos(turn), np.sin(turn)
        points = points @ np.array([[c, s], [-s, c]]) + centre
        parts.append(Part(points, i if rng.random() < 0.7 else 0))
        # The next part starts on this one's outline, so the union stays connected.
        centre = points[int(rng.integers(len(points)))] * 0.9 + centre * 0.1
    return Shape(tuple(parts), name="union")


def decals(rng: Rng, shape: Shape) -> Shape:
    """The shape with unlabelled marks on it: patches, bands, windows, a logo, a rim, spots."""
    points = np.concatenate([p.points for p in shape.parts if not (p.decal or p.hole)])
    low, high = points.min(axis=0), points.max(axis=0)
    span, centre = high - low, (low + high) / 2
    extra: list[Part] = []
    base = 1 + max(p.material for p in shape.parts)
    kind = int(rng.integers(6))
    if kind == 0:  # one contrasting patch
        extra.append(Part(centre + blob(rng) * span * rng.uniform(0.1, 0.3, 2), base, decal=True))
    elif kind == 1:  # bands
        for y in rng.uniform(low[1], high[1], int(rng.integers(1, 4))):
            thick = float(span[1] * rng.uniform(0.03, 0.12))
            extra.append(Part(box(low[0], y - thick, high[0], y + thick), base, decal=True))
    elif kind == 2:  # scattered spots of one size
        radius = float(span.min() * rng.uniform(0.03, 0.12))
        for at in rng.uniform(low, high, (int(rng.integers(3, 10)), 2)):
            extra.append(Part(ellipse(at[0], at[1], radius, radius), base, decal=True))
    elif kind == 3:  # a rim: the outline again, smaller
        main = max(shape.parts, key=lambda p: float(np.ptp(p.points, axis=0).prod()))
        middle = main.points.mean(axis=0)
        inner = middle + (main.points - middle) * float(rng.uniform(0.55, 0.92))
        extra.append(Part(inner, base, decal=True))
    elif kind == 4:  # a two-tone split
        normal = rng.normal(0, 1, 2)
        far = np.array([[0, -9], [9, -9], [9, 9], [0, 9]], np.float64) * span.max()
        c, s = normal / np.linalg.norm(normal)
        offset = centre + rng.normal(0, 0.12, 2) * span
        extra.append(Part(far @ np.array([[c, s], [-s, c]]) + offset, base, decal=True))
    else:  # a label with marks on it
        half = span * rng.uniform(0.12, 0.35, 2)
        at = centre + rng.normal(0, 0.08, 2) * span
        extra.append(Part(superellipse(at[0], at[1], half[0], half[1], 6.0), base, decal=True))
        for row in np.linspace(-0.5, 0.5, int(rng.integers(1, 4))):
            reach = half[0] * float(rng.uniform(0.3, 0.8))
            y, thick = at[1] + row * half[1], half[1] * 0.1
            extra.append(
                Part(box(at[0] - reach, y - thick, at[0] + reach, y + thick), base + 1, decal=True)
            )
    return replace(shape, parts=shape.parts + tuple(extra))


ShapeMaker = Callable[[Rng], Shape]
