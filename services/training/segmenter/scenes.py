"""Generated training scenes: pictures with exact masks of every object in them.

One object is one instance however many surfaces, marks and parts it is painted with; the
background carries texture, lines and shadows that are nobody's. Training uses seeds below
10,000,000; `EVALUATION_SEEDS` are held out.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from services.training.segmenter import creatures, things
from services.training.segmenter.backdrops import backdrop
from services.training.segmenter.camera import photograph
from services.training.segmenter.rendering import (
    Coverage,
    Light,
    Look,
    cast_shadow,
    draw,
    silhouette,
)
from services.training.segmenter.shapes import (
    Part,
    Shape,
    ShapeMaker,
    blob,
    decals,
    ellipse,
    simple,
    superellipse,
    union,
)
from services.training.segmenter.textures import (
    Material,
    Rng,
    choose,
    random_colour,
    random_material,
    related,
)

EVALUATION_SEEDS = range(10_000_000, 10_000_000 + 500)

_MIN_AREA = 100 / 256**2  # of the picture; smaller visible parts are not drawn at all
_MIN_VISIBLE = 0.35


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture and its objects.

    image: uint8 RGB [H, W, 3]. masks: bool [N, H, W], the visible part of each object, disjoint.
    boxes: float32 [N, 4], x0 y0 x1 y1 in pixels, x1 and y1 exclusive, tight around the mask.
    """

    image: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    boxes: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Item:
    """A thing put into the scene, not yet painted."""

    shape: Shape
    coverage: Coverage
    look: Look


_CATALOGUE: tuple[tuple[ShapeMaker, float, float], ...] = (
    # maker, weight among ordinary objects, weight among dominant ones
    (simple, 6.0, 1.5), (union, 2.5, 2.5), (creatures.person, 2.0, 2.5),
    (creatures.bust, 0.6, 2.5), (creatures.face, 1.0, 3.0), (creatures.quadruped, 2.0, 2.5),
    (creatures.bird, 1.2, 1.0), (creatures.fish, 0.7, 0.5), (creatures.plant, 0.8, 0.6),
    (creatures.fruit, 1.3, 0.5), (things.vessel, 2.2, 1.5), (things.cup, 1.6, 1.5),
    (things.plate, 0.8, 0.7), (things.vehicle, 1.5, 1.8), (things.cycle, 0.7, 1.2),
    (things.cuboid, 1.6, 1.2), (things.tool, 1.5, 0.4), (things.stand, 0.8, 0.8),
    (things.rocket, 0.8, 0.8),
)  # fmt: skip
_RECOGNISABLE = ("person", "bust", "face", "quadruped", "bird", "fish", "vehicle", "cup", "cycle")
_MAKERS = tuple(maker for maker, _, _ in _CATALOGUE)
_ORDINARY = tuple(w for _, w, _ in _CATALOGUE)
_DOMINANT = tuple(w for _, _, w in _CATALOGUE)


def _pick(rng: Rng, weights: tuple[float, ...]) -> Shape:
    shape = choose(rng, _MAKERS, weights)(rng)
    for _ in range(choose(rng, (0, 1, 2), (0.55, 0.35, 0.1))):
        shape = decals(rng, shape)
    return shape.bent(rng)


def _turn(rng: Rng, shape: Shape) -> float:
    if shape.upright and rng.random() < 0.88:
        return float(rng.normal(0, 0.09))
    return float(rng.uniform(0, 2 * np.pi))


def _look(rng: Rng, ground: Material) -> Look:
    base = random_colour(rng)
    kinds: tuple[str, ...] | None = None
    roll = float(rng.random())
    if roll < 0.1:  # camouflage: the colours and the texture of the ground
        base, kinds = related(rng, ground.colours[0], 0.08), (ground.kind,)
    elif roll < 0.2:  # the ground's colours only
        base = related(rng, ground.colours[-1], 0.15)
    hidden = roll < 0.2  # form is then the only thing to see it by
    return Look(
        base=base,
        kinds=kinds,
        coherence=choose(rng, (0.9, 0.6, 0.2), (0.4, 0.35, 0.25)),
        relief=float(rng.uniform(0.35 if hidden else 0.05, 0.65)),
        bump=float(rng.uniform(0.1, 0.5)) if rng.random() < 0.2 else 0.0,
        gloss=float(rng.uniform(0.1, 0.8)) if rng.random() < 0.25 else 0.0,
        blur=choose(rng, (0.0, 0.5, 0.9, 1.8), (0.5, 0.25, 0.2, 0.05)),
    )


def _light(rng: Rng) -> Light:
    turn = float(rng.uniform(0, 2 * np.pi)) if rng.random() < 0.3 else float(rng.normal(-1.57, 0.7))
    shadow = 0.0 if rng.random() < 0.15 else float(rng.uniform(0.1, 0.75))
    return Light(
        float(np.cos(turn)), float(np.sin(turn)), 1.0, shadow, float(rng.uniform(0.015, 0.1))
    )


def _overlap(cover: NDArray[np.bool_], taken: NDArray[np.bool_]) -> float:
    return float((cover & taken).sum()) / max(float(cover.sum()), 1.0)


def _place(
    rng: Rng, shape: Shape, reach: float, size: int, taken: NDArray[np.bool_], centred: bool
) -> tuple[Shape, Coverage] | None:
    """Find a place where the shape does not hide in, or cover up, what is already there."""
    allowed = choose(rng, (0.02, 0.2, 0.45, 0.6, 1.0), (0.37, 0.29, 0.18, 0.09, 0.07))
    turn, flip = _turn(rng, shape), bool(rng.random() < 0.5)
    for _ in range(7):
        spread = 0.16 if centred else 0.42
        x, y = (float(v) * size for v in np.clip(rng.normal(0.5, spread, 2), -0.05, 1.05))
        if not centred:
            x, y = (float(v) for v in rng.uniform(-0.02, 1.02, 2) * size)
        placed = shape.placed(reach, turn, flip, x, y)
        cover = silhouette(placed, size, size)
        inside = cover > 127
        # One test rejects both what fell outside the frame and what is mostly hidden.
        if inside.sum() >= _MIN_AREA * size * size and _overlap(inside, taken) <= allowed:
            return placed, cover
    return None


def _dominant(rng: Rng, size: int, ground: Material) -> _Item | None:
    """One object that makes the picture, covering 15-85% of it, perhaps cut by the border."""
    shape = _pick(rng, _DOMINANT)
    probe = silhouette(shape.placed(size / 2, 0.0, False, size / 2, size / 2), size, size)
    share = float((probe > 127).mean()) * 4  # of the frame, were it as long as the frame
    # Some are nearer still and run out of the frame on several sides; a plain shape as near
    # as that would pass for a wall.
    near = shape.name in _RECOGNISABLE and rng.random() < 0.3
    goal = float(rng.uniform(0.9, 1.8) if near else rng.uniform(0.15, 0.85))
    reach = size * float(np.clip(np.sqrt(goal / max(share, 0.02)), 0.5, 2.8))
    spread = choose(rng, (0.06, 0.16))
    x, y = (float(v) * size for v in np.clip(rng.normal(0.5, spread, 2), 0.1, 0.9))
    if shape.name == "bust":  # a portrait is cut by the lower border
        y = max(y, size * 1.02 - reach * 0.45)
    placed = shape.placed(reach, _turn(rng, shape), bool(rng.random() < 0.5), x, y)
    cover = silhouette(placed, size, size)
    fits = 0.05 < (cover > 127).mean() < 0.92
    return _Item(placed, cover, _look(rng, ground)) if fits else None


def _mixed(rng: Rng, size: int, ground: Material) -> list[_Item]:
    """Unlike things, front to back: perhaps a dominant one, and some of all sizes."""
    items: list[_Item] = []
    taken = np.zeros((size, size), np.bool_)
    main = _dominant(rng, size, ground) if rng.random() < 0.58 else None
    count = int(rng.integers(0, 5)) if main else min(int(rng.geometric(0.25)), 10)
    if main:
        items.append(main)
        taken |= main.coverage > 127
    # Larger ones first: a small thing wholly on a large one would look like a mark on it.
    lengths = np.clip(np.exp(rng.normal(np.log(0.24), 0.62, count)), 0.055, 1.0) * size
    for reach in np.sort(lengths)[::-1].tolist():
        found = _place(rng, _pick(rng, _ORDINARY), reach, size, taken, rng.random() < 0.3)
        if found:
            items.append(_Item(*found, _look(rng, ground)))
            taken |= found[1] > 127
    # Larger things tend to stand behind smaller ones, nearer ones lower in the picture.
    keys = [float((i.coverage > 127).sum()) ** 0.5 * rng.uniform(0.3, 1.7) for i in items]
    return [items[k] for k in np.argsort(keys)]


def _unit_thing(rng: Rng, kind: int) -> Shape:
    if kind == 0:
        return Shape((Part(ellipse(0, 0, 1, 1)),))
    if kind == 1:
        return Shape((Part(ellipse(0, 0, 1, float(rng.uniform(0.6, 1)))),))
    if kind == 2:
        return Shape((Part(blob(rng, 0.12)),))
    if kind == 3:
        return Shape((Part(blob(rng, 0.35)),))
    if kind == 4:
        return Shape((Part(superellipse(0, 0, 1, float(rng.uniform(0.5, 1)), 3.5)),))
    return creatures.fruit(rng) if kind == 5 else simple(rng)


def _many(rng: Rng, size: int, ground: Material) -> list[_Item]:
    """Ten to thirty near-equal things in rows or scattered: coins, cells, fruit, pills."""
    kind = choose(rng, range(7), (0.35, 0.12, 0.16, 0.1, 0.08, 0.1, 0.09))
    first = _look(rng, ground)
    if rng.random() < 0.4:  # low contrast against the ground
        first = _toned(rng, first, ground)
    shared = {0: random_material(rng, first.base, size / 30, first.kinds)}
    bump = float(rng.uniform(0.2, 0.9)) if rng.random() < 0.6 else 0.0
    marks = decals if rng.random() < 0.6 else None
    columns = int(rng.integers(3, 8))
    pitch = size / columns
    reach = pitch * float(rng.uniform(0.45, 0.98))
    vary = choose(rng, (0.02, 0.1, 0.22))
    jitter = pitch * choose(rng, (0.03, 0.12, 0.35))
    shift = choose(rng, (0.0, 0.5))
    items: list[_Item] = []
    rows = min(columns, 32 // columns)
    top = float(rng.uniform(0, columns - rows))
    for row in range(rows):
        for column in range(columns):
            if rng.random() < 0.08:
                continue
            x = (column + 0.5 + shift * (row % 2)) * pitch + float(rng.normal(0, jitter))
            y = (row + top + 0.5) * pitch + float(rng.normal(0, jitter))
            shape = _unit_thing(rng, kind)
            shape = marks(rng, shape) if marks else shape
            length = reach * float(np.exp(rng.normal(0, vary)))
            placed = shape.placed(length, float(rng.uniform(0, 6.28)), False, x, y)
            base = related(rng, first.base, 0.06)
            own = {} if rng.random() < 0.15 else shared
            look = Look(base, first.kinds, 0.85, first.relief, bump, first.gloss, first.blur, own)
            items.append(_Item(placed, silhouette(placed, size, size), look))
    return [items[k] for k in rng.permutation(len(items))]


def _toned(rng: Rng, look: Look, ground: Material) -> Look:
    base = related(rng, ground.colours[0], 0.14)
    return Look(
        base, look.kinds, look.coherence, max(look.relief, 0.2), look.bump, look.gloss, look.blur
    )


def _visible(items: list[_Item], size: int) -> tuple[list[_Item], NDArray[np.bool_]]:
    """Items (front first) that show enough of themselves, and their visible masks [N, H, W].

    What shows too little is left out of the picture, not only out of the labels, so that
    nothing teaches the network to pass over an object.
    """
    hidden = np.zeros((size, size), np.bool_)
    kept: list[_Item] = []
    masks: list[NDArray[np.bool_]] = []
    for item in items:
        full = item.coverage > 127
        seen = full & ~hidden
        area, whole = int(seen.sum()), int(full.sum())
        if area < _MIN_AREA * size * size or area < _MIN_VISIBLE * whole:
            continue
        kept.append(item)
        masks.append(seen)
        hidden |= full
    return kept, np.stack(masks) if masks else np.zeros((0, size, size), np.bool_)


def _boxes(masks: NDArray[np.bool_]) -> NDArray[np.float32]:
    boxes = np.zeros((len(masks), 4), np.float32)
    for i, mask in enumerate(masks):
        x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
        boxes[i] = (x, y, x + w, y + h)
    return boxes


def generate_scene(seed: int, size: int = 256) -> Scene:
    """A scene of size x size pixels, the same for the same (seed, size) in any process."""
    rng = np.random.default_rng([size, seed])
    roll = float(rng.random())
    many = roll < 0.17
    canvas, ground = backdrop(rng, size, size, even=many and rng.random() < 0.8)
    light = _light(rng)
    items, masks = _visible([], size)
    while not items and roll < 0.99:  # the rest is scenery without an object
        found = _many(rng, size, ground) if many else _mixed(rng, size, ground)
        items, masks = _visible(found, size)
    for item in reversed(items):
        if light.shadow > 0 and rng.random() < 0.8:
            stands = item.shape.upright and rng.random() < 0.6
            cast_shadow(canvas, item.coverage, light, rng, stands)
        draw(canvas, item.shape, item.coverage, item.look, light, rng)
    return Scene(photograph(rng, canvas), masks, _boxes(masks))
