"""Living things as unions of limbs and ellipses: people, animals, faces, birds, fish, plants.

Every function takes a random generator and returns a `Shape` in its own unit frame.
"""

import numpy as np

from services.training.segmenter.shapes import (
    Part,
    Rng,
    Shape,
    blob,
    capsule,
    ellipse,
    smooth,
)


def _u(rng: Rng, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def _head(rng: Rng, x: float, y: float, r: float) -> list[Part]:
    """A human head with hair and a face; materials 3 (skin), 4 (hair)."""
    parts = []
    if rng.random() < 0.6:  # hair behind the head, long or short
        parts.append(Part(ellipse(x, y - 0.1 * r, 1.2 * r, _u(rng, 1.2, 1.9) * r), 4))
    parts.append(Part(ellipse(x, y, 0.85 * r, 1.12 * r), 3, tone="skin"))
    turn = _u(rng, -0.3, 0.3) * r
    if rng.random() < 0.75:  # front view: fringe, eyes, mouth
        parts.append(Part(ellipse(x, y - 0.85 * r, 0.95 * r, _u(rng, 0.3, 0.65) * r), 4))
        for side in (-1, 1):
            at = x + turn + side * 0.33 * r
            parts.append(Part(ellipse(at, y - 0.08 * r, 0.13 * r, 0.07 * r), 8, True, tone="dark"))
        mouth = ellipse(x + turn, y + 0.58 * r, 0.3 * r, 0.08 * r)
        parts.append(Part(mouth, 9, True))
    else:
        parts.append(Part(ellipse(x - 0.2 * r, y - 0.35 * r, r, r), 4))
    if rng.random() < 0.2:  # a hat or a helmet
        parts.append(Part(ellipse(x, y - 0.75 * r, 1.15 * r, 0.6 * r), 5))
    return parts


def person(rng: Rng) -> Shape:
    """A standing, walking or sitting person, arms and legs at random angles."""
    shoulder, hip = _u(rng, 0.2, 0.32), _u(rng, 0.14, 0.22)
    parts: list[Part] = []
    knee_y, foot_y = _u(rng, 1.25, 1.4), _u(rng, 1.8, 2.0)
    coat = rng.random() < 0.3
    for side in (-1, 1):
        knee = (side * hip * 0.6 + _u(rng, -0.15, 0.15), knee_y)
        foot = (knee[0] + _u(rng, -0.15, 0.15), foot_y)
        leg = _u(rng, 0.1, 0.13)
        parts.append(Part(capsule((side * hip * 0.6, 0.8), knee, leg + 0.02, leg - 0.02), 1))
        parts.append(Part(capsule(knee, foot, leg - 0.02, 0.06), 1))
        parts.append(Part(capsule(foot, (foot[0] + side * 0.09, foot_y + 0.04), 0.07, 0.05), 2))
    for side in (-1, 1):
        elbow = (side * (shoulder + _u(rng, 0.02, 0.28)), _u(rng, 0.3, 0.5))
        hand = (elbow[0] + _u(rng, -0.3, 0.3), elbow[1] + _u(rng, -0.35, 0.4))
        arm = _u(rng, 0.065, 0.1)
        parts.append(Part(capsule((side * shoulder * 0.9, 0.1), elbow, arm + 0.02, arm), 0))
        parts.append(Part(capsule(elbow, hand, arm, arm * 0.7), 0 if rng.random() < 0.6 else 3))
        parts.append(Part(ellipse(hand[0], hand[1], arm, arm), 3, tone="skin"))
    hem = _u(rng, 1.1, 1.4) if coat else 0.85
    torso = np.array(
        [
            [-0.1, -0.04],
            [0.1, -0.04],
            [shoulder, 0.08],
            [hip * 1.1, 0.5],
            [hip * (1.6 if coat else 1.15), hem],
            [-hip * (1.6 if coat else 1.15), hem],
            [-hip * 1.1, 0.5],
            [-shoulder, 0.08],
        ]
    )
    parts.append(Part(smooth(torso), 0))
    parts.append(Part(capsule((0, -0.1), (0, 0.02), 0.08, 0.09), 3, tone="skin"))
    parts += _head(rng, _u(rng, -0.05, 0.05), -0.28, _u(rng, 0.16, 0.2))
    if rng.random() < 0.3:
        parts.append(Part(ellipse(0, 0.3, 0.08, _u(rng, 0.1, 0.3)), 6, True))
    return Shape(tuple(parts), upright=True, name="person")


def bust(rng: Rng) -> Shape:
    """Head and shoulders, the portrait framing."""
    width = _u(rng, 0.75, 1.1)
    low = _u(rng, 1.6, 2.4)
    torso = np.array(
        [
            [-0.22, 0.42],
            [0.22, 0.42],
            [width * 0.8, 0.62],
            [width, 0.95],
            [width * _u(rng, 0.9, 1.2), low],
            [-width * _u(rng, 0.9, 1.2), low],
            [-width, 0.95],
            [-width * 0.8, 0.62],
        ]
    )
    parts = [Part(smooth(torso), 0)]
    parts.append(Part(capsule((0, 0.2), (0, 0.5), 0.2, 0.24), 3, tone="skin"))
    if rng.random() < 0.6:  # a collar or an open jacket over a shirt
        opening = np.array([[-0.25, 0.48], [0.25, 0.48], [0.05, _u(rng, 0.9, low)]])
        parts.append(Part(opening, 1, True))
    if rng.random() < 0.5:
        for side in (-1, 1):
            elbow = (side * width * 1.05, low * 0.75)
            parts.append(Part(capsule((side * width * 0.85, 0.8), elbow, 0.24, 0.2), 0))
    for _ in range(int(rng.integers(0, 4))):  # badges and pockets
        at = (_u(rng, -0.6, 0.6) * width, _u(rng, 0.8, 1.5))
        parts.append(Part(ellipse(*at, _u(rng, 0.05, 0.2), _u(rng, 0.04, 0.15)), 6, True))
    parts += _head(rng, 0.0, -0.1, _u(rng, 0.42, 0.52))
    return Shape(tuple(parts), upright=True, name="bust")


def _ear(x: float, y: float, dx: float, up: float, pointed: bool) -> np.ndarray:
    if pointed:
        return np.array([[x - dx, y + 0.1], [x + 0.1 * dx, y - up], [x + dx, y + 0.1]])
    return ellipse(x, y, dx, up)


def face(rng: Rng) -> Shape:
    """An animal seen from the front, head large, the body behind it or cut away."""
    parts: list[Part] = []
    if rng.random() < 0.7:
        body = blob(rng, 0.15) * np.array([_u(rng, 1.0, 1.9), _u(rng, 0.8, 1.4)])
        parts.append(Part(body + np.array([_u(rng, -0.9, 0.9), _u(rng, 0.8, 1.4)]), 0))
    pointed, wide, up = rng.random() < 0.65, _u(rng, 0.25, 0.42), _u(rng, 0.4, 0.85)
    for side in (-1, 1):
        ear = _ear(side * 0.6, -0.55, wide, up, pointed)
        parts.append(Part(ear, 0))
        parts.append(Part(ear.mean(axis=0) + (ear - ear.mean(axis=0)) * 0.6, 2, True))
    rx, ry = _u(rng, 0.85, 1.1), _u(rng, 0.75, 1.05)
    parts.append(Part(ellipse(0, 0, rx, ry), 0))
    if rng.random() < 0.5:  # a mask or a blaze of another colour
        mark = blob(rng, 0.2) * np.array([_u(rng, 0.15, 0.5), 0.6]) + np.array([0, -0.1])
        parts.append(Part(mark, 1, True))
    low = _u(rng, 0.3, 0.45)
    parts.append(Part(ellipse(0, low, _u(rng, 0.35, 0.55), 0.33), 1, True))
    size, apart = _u(rng, 0.1, 0.2), _u(rng, 0.35, 0.5)
    slit = _u(rng, 0.3, 0.8)
    for side in (-1, 1):
        parts.append(Part(ellipse(side * apart, -0.1, size * 1.15, size), 8, True))
        parts.append(
            Part(ellipse(side * apart, -0.1, size * slit, size * 0.9), 9, True, tone="dark")
        )
    nose = np.array([[-0.13, low - 0.2], [0.13, low - 0.2], [0, low - 0.02]])
    parts.append(Part(smooth(nose, 1), 7, True, tone="dark" if rng.random() < 0.5 else ""))
    return Shape(tuple(parts), upright=True, furry=True, name="face")


def quadruped(rng: Rng) -> Shape:
    """A four-legged animal from the side: dog, cat, horse or cow proportions."""
    long, deep, leg = _u(rng, 0.7, 1.0), _u(rng, 0.26, 0.42), _u(rng, 0.35, 0.95)
    thick = _u(rng, 0.07, 0.13)
    parts: list[Part] = []
    for i, x in enumerate((-0.8, 0.75, -0.62, 0.6)):
        knee = (x * long + _u(rng, -0.1, 0.1), deep * 0.6 + leg * 0.5)
        foot = (knee[0] + _u(rng, -0.12, 0.12), deep * 0.6 + leg)
        shade = 5 if i < 2 else 0
        parts.append(Part(capsule((x * long, 0.1), knee, thick * 1.5, thick), shade))
        parts.append(Part(capsule(knee, foot, thick, thick * 0.75), shade))
        parts.append(Part(capsule(foot, (foot[0] + 0.08, foot[1]), thick, thick * 0.7), 2))
    tail = (-long - _u(rng, 0.1, 0.5), _u(rng, -0.6, 0.5))
    parts.append(Part(capsule((-long * 0.9, -0.1), tail, 0.1, _u(rng, 0.03, 0.12)), 0))
    body = superbody = blob(rng, 0.06, 4) * np.array([long * 1.08, deep])
    parts.append(Part(body, 0))
    head = (long + _u(rng, 0.15, 0.45), -_u(rng, 0.15, 0.7))
    parts.append(Part(capsule((long * 0.75, -0.08), head, deep * 0.75, _u(rng, 0.14, 0.2)), 0))
    muzzle = (head[0] + _u(rng, 0.15, 0.4), head[1] + _u(rng, 0.03, 0.25))
    r = _u(rng, 0.17, 0.26)
    parts.append(Part(capsule(head, muzzle, r, r * 0.55), 0 if rng.random() < 0.7 else 1))
    for dx in (-0.06, 0.06):
        parts.append(
            Part(
                _ear(head[0] + dx, head[1] - r * 0.8, 0.08, _u(rng, 0.12, 0.3), rng.random() < 0.6),
                1,
            )
        )
    parts.append(Part(ellipse(head[0] + 0.08, head[1] - 0.05, 0.035, 0.03), 8, True, tone="dark"))
    for _ in range(int(rng.integers(0, 5))):  # the coat's patches
        at = superbody[int(rng.integers(len(superbody)))] * _u(rng, 0, 0.9)
        parts.append(Part(blob(rng) * _u(rng, 0.08, 0.28) + at, 1, True))
    return Shape(tuple(parts), upright=True, furry=rng.random() < 0.7, name="quadruped")


def bird(rng: Rng) -> Shape:
    """A perched bird or a duck from the side."""
    parts = [
        Part(capsule((-0.7, 0.1), (-_u(rng, 1.2, 1.8), _u(rng, -0.2, 0.5)), 0.15, 0.1), 1),
        Part(ellipse(-0.1, 0, _u(rng, 0.7, 0.95), _u(rng, 0.4, 0.6), _u(rng, -0.5, 0.1)), 0),
    ]
    head = (_u(rng, 0.5, 0.9), -_u(rng, 0.45, 1.1))
    parts.append(Part(capsule((0.4, -0.15), head, 0.3, 0.2), 0))
    r = _u(rng, 0.2, 0.32)
    parts.append(Part(ellipse(head[0], head[1], r, r), 2 if rng.random() < 0.5 else 0))
    beak = np.array([[r * 0.7, -0.1], [r + _u(rng, 0.15, 0.6), 0.03], [r * 0.7, 0.12]])
    parts.append(Part(beak + np.array(head), 3))
    parts.append(Part(ellipse(head[0] + 0.08, head[1] - 0.04, 0.05, 0.05), 8, True, tone="dark"))
    wing = ellipse(-0.25, 0.0, _u(rng, 0.4, 0.7), _u(rng, 0.2, 0.35), _u(rng, -0.5, 0.1))
    parts.append(Part(wing, 1, True))
    if rng.random() < 0.6:
        for x in (-0.05, 0.15):
            parts.insert(0, Part(capsule((x, 0.3), (x + 0.05, _u(rng, 0.8, 1.1)), 0.05, 0.04), 3))
    return Shape(tuple(parts), upright=True, furry=rng.random() < 0.4, name="bird")


def fish(rng: Rng) -> Shape:
    """A fish from the side with fins, an eye and bands."""
    deep = _u(rng, 0.25, 0.55)
    tail = np.array(
        [[-0.7, 0.0], [-1.35, -_u(rng, 0.3, 0.6)], [-1.15, 0], [-1.35, _u(rng, 0.3, 0.6)]]
    )
    fin = np.array([[-0.3, -deep * 0.7], [0.1, -deep - _u(rng, 0.1, 0.4)], [0.4, -deep * 0.7]])
    parts = [Part(tail, 1), Part(fin, 1), Part(ellipse(0, 0, 1.0, deep), 0)]
    for x in rng.uniform(-0.6, 0.4, int(rng.integers(0, 4))):
        parts.append(Part(ellipse(float(x), 0, _u(rng, 0.04, 0.12), deep * 1.1), 2, True))
    parts.append(Part(ellipse(0.65, -deep * 0.25, 0.09, 0.09), 8, True))
    parts.append(Part(ellipse(0.66, -deep * 0.25, 0.05, 0.05), 9, True, tone="dark"))
    return Shape(tuple(parts), name="fish")


def plant(rng: Rng) -> Shape:
    """A branching stem with leaves, sometimes in a pot."""
    parts: list[Part] = []
    for _ in range(int(rng.integers(3, 9))):
        turn = _u(rng, -1.1, 1.1)
        reach = _u(rng, 0.5, 1.1)
        tip = (reach * np.sin(turn), -reach * np.cos(turn))
        parts.append(Part(capsule((0, 0), tip, 0.04, 0.03), 1))
        leaf = ellipse(
            tip[0],
            tip[1],
            _u(rng, 0.2, 0.45),
            _u(rng, 0.08, 0.22),
            turn + np.pi / 2 + _u(rng, -0.6, 0.6),
        )
        parts.append(Part(leaf, 0 if rng.random() < 0.7 else 2))
    if rng.random() < 0.6:
        w, h = _u(rng, 0.25, 0.45), _u(rng, 0.4, 0.8)
        pot = np.array([[-w, -0.05], [w, -0.05], [w * _u(rng, 0.6, 1), h], [-w * 0.8, h]])
        parts.append(Part(pot, 3))
    return Shape(tuple(parts), upright=True, name="plant")


def fruit(rng: Rng) -> Shape:
    """A round fruit or vegetable with a stalk and sometimes a leaf."""
    body = blob(rng, 0.06, 3) * np.array([_u(rng, 0.7, 1.1), 1.0])
    parts = [
        Part(capsule((0, -0.8), (_u(rng, -0.3, 0.3), -_u(rng, 1.1, 1.4)), 0.07, 0.05), 1),
        Part(body, 0),
    ]
    if rng.random() < 0.5:
        parts.append(Part(ellipse(0.3, -1.05, 0.35, 0.14, _u(rng, -0.6, 0.3)), 2))
    return Shape(tuple(parts), name="fruit")
