"""The outlines of shapes: closed polygons around the middle, about 1 in radius, not yet turned."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Outline = NDArray[np.float64]
_ROUND = 72
_NEARLY = 1.06


def _polar(radii: NDArray[np.float64] | float, count: int) -> Outline:
    angles = np.linspace(0, 2 * math.pi, count, endpoint=False)
    return np.stack((np.cos(angles) * radii, np.sin(angles) * radii), axis=1)


def _regular(corners: int) -> Callable[[np.random.Generator], Outline]:
    def make(rng: np.random.Generator) -> Outline:
        stretch = [1.0, rng.uniform(1 / 1.12, 1.12)]
        return _polar(1.0, corners) * stretch

    return make


def _circle(rng: np.random.Generator) -> Outline:
    return _polar(1.0, _ROUND) * [1.0, rng.uniform(1 / _NEARLY, _NEARLY)]


def _ellipse(rng: np.random.Generator) -> Outline:
    return _polar(1.0, _ROUND) * [1.0, 1 / rng.uniform(1.4, 2.8)]


def _box(ratio: float) -> Outline:
    half = np.array([1.0, 1 / ratio])
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    return np.asarray(corners / np.hypot(*half))


def _square(rng: np.random.Generator) -> Outline:
    return _box(rng.uniform(1 / _NEARLY, _NEARLY))


def _rectangle(rng: np.random.Generator) -> Outline:
    return _box(rng.uniform(1.35, 3.2))


def _triangle(rng: np.random.Generator) -> Outline:
    """Any triangle without an angle below 25 degrees; often an even or a right one."""
    kind = rng.random()
    if kind < 0.35:
        angles = [math.pi / 3] * 3
    elif kind < 0.6:
        sharp = rng.uniform(math.radians(28), math.radians(62))
        angles = [math.pi / 2, sharp, math.pi / 2 - sharp]
    else:
        shares = rng.dirichlet((3, 3, 3)) * (math.pi - 3 * math.radians(25))
        angles = [float(share) + math.radians(25) for share in shares]
    # On a circle, the arc between two corners is twice the angle opposite.
    turns = np.cumsum([0.0, 2 * angles[0], 2 * angles[1]])
    corners = np.stack((np.cos(turns), np.sin(turns)), axis=1)
    return np.asarray(corners - (corners.max(axis=0) + corners.min(axis=0)) / 2)


def _star(rng: np.random.Generator) -> Outline:
    points = int(rng.choice([5, 5, 5, 5, 6, 7, 4]))
    radii = np.ones(2 * points)
    radii[1::2] = rng.uniform(0.32, 0.55)
    return _polar(radii, 2 * points)


def _heart(rng: np.random.Generator) -> Outline:
    t = np.linspace(0, 2 * math.pi, _ROUND, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack((x, y + 2.5), axis=1) / 17 * [rng.uniform(0.85, 1.15), 1.0]


def _cross(rng: np.random.Generator) -> Outline:
    arm = rng.uniform(0.18, 0.42)
    quarter = np.array([[arm, -1.0], [arm, -arm], [1.0, -arm]])
    turned = [quarter @ np.array([[c, s], [-s, c]]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    return np.concatenate(turned)


def _arrow(rng: np.random.Generator) -> Outline:
    shaft, head = rng.uniform(0.1, 0.26), rng.uniform(0.45, 0.75)
    neck, barb = rng.uniform(-0.05, 0.4), rng.uniform(0.0, 0.15)
    upper = np.array([[-1.0, -shaft], [neck, -shaft], [neck - barb, -head]])
    return np.concatenate((upper, [[1.0, 0.0]], upper[::-1] * [1, -1]))


def _crescent(rng: np.random.Generator) -> Outline:
    """A disc with another disc, moved aside, cut out of it."""
    aside, cut = rng.uniform(0.35, 0.65), rng.uniform(0.78, 0.95)
    reach = (1 + aside**2 - cut**2) / (2 * aside)
    outer = math.acos(reach)
    inner = math.atan2(math.sqrt(1 - reach**2), reach - aside)
    long = np.linspace(outer, 2 * math.pi - outer, 40)
    short = np.linspace(2 * math.pi - inner, inner, 32)
    back = np.stack((aside + cut * np.cos(short), cut * np.sin(short)), axis=1)
    points = np.concatenate((np.stack((np.cos(long), np.sin(long)), axis=1), back[1:-1]))
    return np.asarray(points - (points.max(axis=0) + points.min(axis=0)) / 2)


MAKERS: dict[str, Callable[[np.random.Generator], Outline]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "rectangle": _rectangle,
    "pentagon": _regular(5),
    "hexagon": _regular(6),
    "star": _star,
    "ellipse": _ellipse,
    "heart": _heart,
    "cross": _cross,
    "arrow": _arrow,
    "crescent": _crescent,
}


def outline(label: str, rng: np.random.Generator) -> Outline:
    """Return one shape [points, 2], x to the right and y down: turned, a little askew."""
    points = MAKERS[label](rng)
    if rng.random() < 0.5:
        points = points * [1, -1]
    askew = np.eye(2) + rng.uniform(-0.04, 0.04, (2, 2))
    # Half of what people draw stands upright.
    turn = rng.choice([0, 0.5, 1, 1.5]) * math.pi if rng.random() < 0.5 else rng.uniform(0, 7)
    turn += rng.normal(0, 0.05)
    rotation = [[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]]
    return np.asarray(points @ askew @ rotation)


def wobbled(points: Outline, amount: float, rng: np.random.Generator) -> Outline:
    """Return the outline as a hand would draw it: densely, off by up to `amount` here and there."""
    closed = np.concatenate((points, points[:1]))
    lengths = np.r_[0.0, np.cumsum(np.hypot(*np.diff(closed, axis=0).T))]
    along = np.linspace(0, lengths[-1], 120, endpoint=False)
    dense = np.stack([np.interp(along, lengths, closed[:, axis]) for axis in (0, 1)], axis=1)
    phase = along / lengths[-1] * 2 * math.pi
    for waves in (1, 2, 3, 5, 8):
        size, start = rng.normal(0, amount / waves, 2), rng.uniform(0, 2 * math.pi, 2)
        dense = dense + np.stack(
            [size[axis] * np.sin(waves * phase + start[axis]) for axis in (0, 1)], axis=1
        )
    return dense
