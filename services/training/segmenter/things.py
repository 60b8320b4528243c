"""Made things: vessels, vehicles, boxes, tools, stands, rockets, plates.

Every function takes a random generator and returns a `Shape` in its own unit frame.
"""

import itertools

import numpy as np

from services.training.segmenter.shapes import (
    Part,
    Points,
    Rng,
    Shape,
    box,
    capsule,
    ellipse,
    mirrored,
    smooth,
    superellipse,
)


def _u(rng: Rng, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def vessel(rng: Rng) -> Shape:
    """A bottle, vase, lamp or chess-piece: a random mirror-symmetric profile."""
    knots = int(rng.integers(3, 8))
    y = np.sort(np.concatenate([[-1.0, 1.0], rng.uniform(-0.95, 0.95, knots)]))
    x = rng.uniform(0.12, 0.6, len(y))
    profile = np.stack([x, y], axis=1)
    outline = mirrored(profile)
    if rng.random() < 0.75:
        outline = smooth(outline)
    parts = [Part(outline, 0)]
    if rng.random() < 0.5:  # a cap or a neck of another colour
        parts.append(Part(box(-1, -1.1, 1, float(y[1])), 1, True))
    if rng.random() < 0.5:  # a label
        at, half = _u(rng, -0.2, 0.5), _u(rng, 0.1, 0.35)
        parts.append(Part(box(-1, at - half, 1, at + half), 2, True))
        parts.append(Part(ellipse(_u(rng, -0.1, 0.1), at, 0.15, half * 0.6), 3, True))
    return Shape(tuple(parts), upright=True, name="vessel")


def cup(rng: Rng) -> Shape:
    """A cup, mug or bowl seen from slightly above: body, rim, contents and a handle."""
    top, foot, high = 0.6, _u(rng, 0.25, 0.6), _u(rng, 0.5, 1.3)
    tilt = _u(rng, 0.1, 0.45) * top
    parts: list[Part] = []
    if rng.random() < 0.75:
        side = 1 if rng.random() < 0.5 else -1
        y, r = high * 0.45, _u(rng, 0.2, 0.36)
        inner = r * _u(rng, 0.5, 0.75)
        parts.append(Part(ellipse(side * 0.58, y, r, r * 1.1), 0))
        parts.append(Part(ellipse(side * 0.58, y, inner, inner * 1.2), 0, hole=True))
    bend = _u(rng, 0.0, 0.15)
    profile = np.array([[top, 0.0], [(top + foot) / 2 + bend, high * 0.55], [foot, high]])
    parts.append(Part(mirrored(profile), 0))
    parts.append(Part(ellipse(0, high, foot, tilt * 0.6), 0))
    if rng.random() < 0.4:
        parts.append(Part(ellipse(0, high * 0.55, 0.25, high * 0.2), 4, True))
    parts.append(Part(ellipse(0, 0, top, tilt), 1))
    parts.append(Part(ellipse(0, tilt * 0.15, top * 0.88, tilt * 0.8), 2, True))
    if rng.random() < 0.3:
        parts.append(Part(ellipse(0, tilt * 0.2, top * 0.4, tilt * 0.4), 3, True))
    return Shape(tuple(parts), upright=True, name="cup")


def plate(rng: Rng) -> Shape:
    """A plate or saucer: a tilted disc with a rim."""
    flat = _u(rng, 0.35, 1.0)
    parts = [Part(ellipse(0, 0, 1, flat), 0)]
    parts.append(Part(ellipse(0, 0.02, 0.9, 0.9 * flat), 1 if rng.random() < 0.4 else 0, True))
    r = _u(rng, 0.5, 0.7)
    parts.append(Part(ellipse(0, 0.03, r, r * flat), 0 if rng.random() < 0.6 else 2, True))
    return Shape(tuple(parts), upright=True, name="plate")


def _wheel(x: float, y: float, r: float, base: int) -> list[Part]:
    hub = r * 0.55
    return [
        Part(ellipse(x, y, r, r), base, tone="dark"),
        Part(ellipse(x, y, hub, hub), base + 1, True),
        Part(ellipse(x, y, hub * 0.3, hub * 0.3), base, True, tone="dark"),
    ]


def vehicle(rng: Rng) -> Shape:
    """A car, van, bus or lorry from the side."""
    roof, hood = _u(rng, 0.35, 0.75), _u(rng, 0.0, 0.35)
    front, rear = _u(rng, 0.15, 0.6), _u(rng, -0.9, -0.4)
    body = np.array(
        [
            [-1.0, 0.35],
            [-1.0, -hood * 0.8],
            [rear, -hood],
            [rear + 0.15, -roof],
            [front - 0.25, -roof],
            [front, -hood],
            [0.97, -hood * 0.6],
            [1.02, 0.35],
        ]
    )
    parts = [Part(smooth(body, 1) if rng.random() < 0.7 else body, 0)]
    panes = int(rng.integers(1, 5))
    edges = np.linspace(rear + 0.12, front - 0.1, panes + 1)
    for a, b in itertools.pairwise(edges):
        parts.append(
            Part(
                box(float(a) + 0.03, -roof + 0.08, float(b) - 0.03, -hood + 0.02),
                1,
                True,
                tone="glass",
            )
        )
    if rng.random() < 0.5:
        parts.append(Part(box(-1.1, 0.05, 1.1, _u(rng, 0.1, 0.3)), 4, True))
    r = _u(rng, 0.17, 0.27)
    for x in (-_u(rng, 0.5, 0.72), _u(rng, 0.5, 0.72)):
        parts += _wheel(x, 0.35, r, 2)
    parts.append(Part(ellipse(0.95, 0.05, 0.06, 0.05), 6, True, tone="light"))
    return Shape(tuple(parts), upright=True, name="vehicle")


def cycle(rng: Rng) -> Shape:
    """A bicycle or motorcycle: two wheels, a frame, a seat, handlebars, maybe an engine."""
    r, thick = _u(rng, 0.38, 0.5), _u(rng, 0.03, 0.09)
    parts: list[Part] = []
    for x in (-0.75, 0.75):
        parts.append(Part(ellipse(x, 0, r, r), 1, tone="dark"))
        if rng.random() < 0.75:
            inner = r * _u(rng, 0.6, 0.88)
            parts.append(Part(ellipse(x, 0, inner, inner), 1, hole=True))
            for turn in rng.uniform(0, np.pi, 4):
                dx, dy = r * 0.95 * np.cos(turn), r * 0.95 * np.sin(turn)
                parts.append(Part(capsule((x - dx, -dy), (x + dx, dy), 0.02, 0.02), 2))
    seat, head = (-0.35, -_u(rng, 0.55, 0.8)), (0.5, -_u(rng, 0.6, 0.9))
    for a, b in (
        ((-0.75, 0), seat),
        (seat, head),
        (head, (0.75, 0)),
        ((0, 0.05), head),
        ((0, 0.05), seat),
        ((-0.75, 0), (0, 0.05)),
    ):
        parts.append(Part(capsule(a, b, thick, thick), 0))
    parts.append(Part(capsule((seat[0] - 0.2, seat[1]), (seat[0] + 0.25, seat[1]), 0.09, 0.06), 3))
    bars = (head[0] - _u(rng, 0, 0.25), head[1] - 0.15)
    parts.append(Part(capsule(head, bars, 0.05, 0.04), 2))
    if rng.random() < 0.6:
        parts.append(Part(superellipse(0.0, -0.1, 0.38, 0.28, 3.0), 4))
        parts.append(Part(superellipse(0.1, -0.5, 0.36, 0.17, 2.5), 0))
        parts.append(Part(capsule((0.1, 0.15), (-0.8, 0.18), 0.06, 0.08), 5, tone="light"))
    return Shape(tuple(parts), upright=True, name="cycle")


def cuboid(rng: Rng) -> Shape:
    """A box, book, house or cabinet: up to three visible faces."""
    w, h = _u(rng, 0.4, 1.0), _u(rng, 0.3, 1.0)
    dx, dy = _u(rng, 0.1, 0.6) * (1 if rng.random() < 0.5 else -1), -_u(rng, 0.08, 0.5)
    depth = np.array([dx, dy])
    front = box(-w, -h, w, h)
    right = front[[1, 2]] if dx > 0 else front[[0, 3]]
    side: Points = np.concatenate([right, (right + depth)[::-1]])
    top: Points = np.concatenate([front[:2], (front[:2] + depth)[::-1]])
    parts = [Part(side, 1), Part(top, 2), Part(front, 0)]
    if rng.random() < 0.6:
        rows, columns = (int(v) for v in rng.integers(1, 4, 2))
        for y in np.linspace(-h, h, rows * 2 + 1)[1::2]:
            for x in np.linspace(-w, w, columns * 2 + 1)[1::2]:
                parts.append(
                    Part(
                        superellipse(float(x), float(y), w / columns * 0.6, h / rows * 0.6, 8),
                        3,
                        True,
                    )
                )
    return Shape(tuple(parts), upright=True, name="cuboid")


def tool(rng: Rng) -> Shape:
    """A spoon, key, hammer or racket: a shaft with a different end."""
    thick = _u(rng, 0.04, 0.12)
    parts = [Part(capsule((-1, 0), (0.6, 0), thick * _u(rng, 0.8, 1.8), thick), 0)]
    kind = int(rng.integers(4))
    if kind == 0:
        parts.append(Part(ellipse(0.8, 0, _u(rng, 0.25, 0.45), _u(rng, 0.14, 0.35)), 1))
    elif kind == 1:
        r = _u(rng, 0.25, 0.4)
        parts.append(Part(ellipse(0.8, 0, r, r), 0))
        parts.append(Part(ellipse(0.8, 0, r * 0.6, r * 0.6), 0, hole=True))
    elif kind == 2:
        parts.append(Part(box(0.5, -_u(rng, 0.2, 0.5), 0.8, _u(rng, 0.2, 0.5)), 1))
    else:
        for turn in (-0.35, 0.35):
            tip = (1.2 * np.cos(turn), 1.2 * np.sin(turn))
            parts.append(Part(capsule((0.4, 0), tip, thick, thick * 0.6), 1))
    if rng.random() < 0.5:
        parts.append(Part(box(-1.3, -1, _u(rng, -0.6, -0.1), 1), 2, True))
    return Shape(tuple(parts), name="tool")


def stand(rng: Rng) -> Shape:
    """A tripod, stool, table or lamp: thin legs under a head."""
    parts: list[Part] = []
    thick, spread = _u(rng, 0.03, 0.07), _u(rng, 0.3, 0.7)
    for x in (-spread, _u(rng, -0.15, 0.15), spread):
        parts.append(Part(capsule((x * 0.2, 0), (x, 1.3), thick, thick * 0.8), 0))
    if rng.random() < 0.5:
        parts.append(Part(capsule((-spread * 0.6, 0.75), (spread * 0.6, 0.75), 0.03, 0.03), 0))
    w, h = _u(rng, 0.2, 0.6), _u(rng, 0.12, 0.35)
    parts.append(Part(superellipse(0, -h * 0.8, w, h, _u(rng, 2, 9)), 1))
    if rng.random() < 0.5:
        lens = (w + 0.12, -h * 0.8)
        parts.append(Part(capsule((0, -h * 0.8), lens, h * 0.6, h * 0.5), 2))
        parts.append(Part(ellipse(lens[0], lens[1], h * 0.3, h * 0.4), 3, True, tone="dark"))
    return Shape(tuple(parts), upright=True, name="stand")


def rocket(rng: Rng) -> Shape:
    """A rocket, tower, pencil or lighthouse: a long symmetric body with fins and bands."""
    w, nose = _u(rng, 0.1, 0.25), _u(rng, 0.2, 0.6)
    t = np.linspace(0, 1, 8)
    cone = np.stack([w * t ** _u(rng, 0.4, 1.0), -1 - nose + nose * t], axis=1)
    tail = w * _u(rng, 0.8, 1.3)
    body = mirrored(np.concatenate([cone, [[w, 0.5], [tail, 1.0]]]))
    parts: list[Part] = []
    if rng.random() < 0.6:
        reach = w * _u(rng, 1.8, 3.2)
        parts.append(Part(mirrored(np.array([[0.0, 0.4], [reach, 0.9], [reach, 1.1]])), 1))
    if rng.random() < 0.35:
        for side in (-1, 1):
            x = side * w * 1.5
            parts.append(Part(capsule((x, -0.2), (x, 0.95), w * 0.55, w * 0.6), 2))
    parts.append(Part(body, 0))
    parts.append(Part(box(-1, -2, 1, -1 + _u(rng, -0.1, 0.2)), 3, True))
    for y in rng.uniform(-0.8, 0.8, int(rng.integers(0, 4))):
        parts.append(Part(box(-1, float(y), 1, float(y) + _u(rng, 0.04, 0.2)), 4, True))
    return Shape(tuple(parts), upright=True, name="rocket")
