"""Shapes: drawings and folders to learn from, pictures to answer, and how well it is learned."""

import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.draw
from PIL import Image, ImageDraw

from services.core.errors import CheckpointError, InvalidInputError, PayloadTooLargeError
from services.families.base import Artifact, Fitted, Model, Picture, Split, predict
from services.families.shapes import FAMILY
from services.families.shapes import data as source
from services.families.shapes.drawings import LABELS, draw
from services.families.shapes.focus import SIDE, focus
from services.families.shapes.model import ShapesModel
from tests.conftest import settings_for_tests
from tests.support.pictures import encoded

SETTINGS = settings_for_tests(max_image_pixels=4_000_000)
QUICK = {"epochs": 1, "drawings": 96}


def _ignore(*_: Any) -> None:
    pass


def _opened(fitted: Fitted, folder: Path) -> Model:
    folder.mkdir(exist_ok=True)
    fitted.save(folder)
    config = json.loads(json.dumps(fitted.config))
    artifact = Artifact("shapes", "custom_cnn", "2", folder, config, fitted.signature)
    return FAMILY.open(artifact, SETTINGS)


@pytest.fixture(scope="module")
def split() -> Split:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "_HELD_OUT_DRAWINGS", 24)
        return FAMILY.read(None, QUICK)


@pytest.fixture(scope="module")
def fitted(split: Split) -> Fitted:
    return FAMILY.fit(split, QUICK, 0, _ignore)


@pytest.fixture(scope="module")
def model(fitted: Fitted, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return _opened(fitted, tmp_path_factory.mktemp("shapes"))


def test_a_picture_is_answered_as_documented(model: Model, split: Split) -> None:
    answer = predict(model, Picture(split.held_out.files[0]))
    assert list(answer["probabilities"]) == list(FAMILY.labels)
    assert answer["confidence"] == answer["probabilities"][answer["class"]]
    assert answer["confidence"] == max(answer["probabilities"].values())
    assert math.isclose(sum(answer["probabilities"].values()), 1, abs_tol=1e-5)
    assert json.loads(json.dumps(answer)) == answer
    assert model.confidences(answer) == [answer["confidence"]]


def test_the_example_is_answered(model: Model, fitted: Fitted) -> None:
    assert predict(model, json.loads(json.dumps(fitted.example)))["class"] in LABELS


def test_together_they_are_answered_as_alone(model: Model, split: Split) -> None:
    pictures = [Picture(data) for data in split.held_out.files[:5]]
    prepared = [model.preprocess(picture) for picture in pictures]
    for one, raw, picture in zip(prepared, model.infer(prepared), pictures, strict=True):
        alone = predict(model, picture)["probabilities"]
        assert model.postprocess(one, raw)["probabilities"] == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize(
    "payload", [{"features": [1.0]}, {"inputs": [1]}, {"inputs": "%"}, {}, [1], None, "x"]
)
def test_what_is_no_picture_is_refused(model: Model, payload: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        model.preprocess(payload)
    assert caught.value.expected


@pytest.mark.parametrize("data", [b"", b"text", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_bytes_that_are_no_picture_are_refused(model: Model, data: bytes) -> None:
    with pytest.raises(InvalidInputError):
        model.preprocess(Picture(data))


def test_a_picture_beyond_the_limits_is_refused(model: Model) -> None:
    with pytest.raises(PayloadTooLargeError):
        model.preprocess(Picture(encoded(Image.new("L", (2100, 2100)), "PNG")))


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (3, 2), (47, 48), (1500, 1000)])
@pytest.mark.parametrize("filled", [True, False])
def test_any_size_is_answered(model: Model, size: tuple[int, int], filled: bool) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    picture = Image.fromarray(noise if filled else np.full((*size, 3), 9, np.uint8))
    answer = predict(model, Picture(encoded(picture, "PNG")))
    assert 0 <= answer["confidence"] <= 1


def test_a_figure_looks_alike_in_any_colours_and_anywhere() -> None:
    seen = []
    for paper, ink, left in ((255, 0, 10), (0, 255, 10), (200, 40, 60), (90, 130, 60)):
        picture = np.full((200, 200, 3), paper, np.uint8)
        picture[60:120, left : left + 90] = ink
        seen.append(focus(picture).astype(int))
    assert seen[0].shape == (SIDE, SIDE)
    assert all(np.abs(one - seen[0]).mean() < 2 for one in seen)
    assert seen[0].max() > 250


def test_drawings_follow_their_seeds() -> None:
    for seed in (0, 5, source.HELD_OUT + 3):
        assert np.array_equal(draw(seed).pixels, draw(seed).pixels)
        assert draw(seed).label == seed % len(LABELS)
    assert FAMILY.labels == LABELS


def test_no_held_out_drawing_can_be_learned_from() -> None:
    (drawings,) = (one for one in FAMILY.parameters if one.name == "drawings")
    assert drawings.high is not None
    assert drawings.high < source.HELD_OUT


def test_the_same_seed_gives_the_same_model(split: Split, tmp_path: Path) -> None:
    weights = []
    for number, seed in enumerate((5, 5, 6)):
        folder = tmp_path / str(number)
        _opened(FAMILY.fit(split, QUICK, seed, _ignore), folder)
        weights.append((folder / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] != weights[2]


@pytest.mark.parametrize(
    "config", [{}, {"labels": ["a"]}, {"labels": ["a", "a"]}, {"labels": ["a", "b", "c"]}]
)
def test_weights_that_do_not_fit_are_refused(
    fitted: Fitted, tmp_path: Path, config: dict[str, Any]
) -> None:
    fitted.save(tmp_path)
    with pytest.raises(CheckpointError):
        FAMILY.open(Artifact("shapes", "custom_cnn", "1", tmp_path, config), SETTINGS)


def _write_folders(folder: Path, count: int = 10) -> None:
    for number in range(2 * count):
        side = folder / ("crosses" if number % 2 else "balls")
        side.mkdir(exist_ok=True)
        drawing = draw(number // 2 * len(LABELS) + (9 if number % 2 else 0))
        (side / f"{number}.png").write_bytes(source.png(drawing.pixels))


def test_a_folder_of_folders_trains_a_model_of_its_classes(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    _write_folders(folder)
    split = FAMILY.read(folder, {})
    assert split.rows == (16, 4)
    assert split.source == "pictures"
    assert FAMILY.read(folder, {}).digest == split.digest
    made = FAMILY.fit(split, {"epochs": 1, "turn": False}, 0, _ignore)
    model = _opened(made, tmp_path / "model")
    assert isinstance(model, ShapesModel)
    assert model.labels == ("balls", "crosses")
    assert set(FAMILY.evaluate(model, split.held_out)) >= {"accuracy", "f1"}


def _one_class(folder: Path) -> None:
    for path in (folder / "balls").iterdir():
        path.unlink()
    (folder / "balls").rmdir()


def _one_picture(folder: Path) -> None:
    for path in list((folder / "balls").iterdir())[1:]:
        path.unlink()


def _copies(folder: Path) -> None:
    first, *others = (folder / "balls").iterdir()
    for path in others:
        path.write_bytes(first.read_bytes())


def _broken(folder: Path) -> None:
    (folder / "balls" / "0.png").write_bytes(b"text")


@pytest.mark.parametrize("harm", [_one_class, _one_picture, _copies, _broken])
def test_folders_that_cannot_be_learned_from_are_refused(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    _write_folders(tmp_path, 3)
    harm(tmp_path)
    with pytest.raises(InvalidInputError) as caught:
        FAMILY.read(tmp_path, {})
    assert caught.value.where == "data"


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError):
        FAMILY.read(tmp_path / "missing", {})


def _by_pillow(label: str, rng: np.random.Generator) -> Image.Image:
    """Draw a shape with another program's own tools, on a page of another size."""
    page = Image.new("RGB", (400, 300), tuple(rng.integers(200, 256, 3).tolist()))
    pen = ImageDraw.Draw(page)
    x, y, r = rng.integers(120, 280), rng.integers(110, 190), rng.integers(40, 100)
    ink = tuple(rng.integers(0, 120, 3).tolist())
    look: dict[str, Any] = {"fill": ink} if rng.random() < 0.5 else {"outline": ink, "width": 4}
    corners = {"triangle": 3, "square": 4, "pentagon": 5, "hexagon": 6}
    if label in corners:
        turn = int(rng.integers(0, 360))
        pen.regular_polygon((int(x), int(y), int(r)), corners[label], turn, **look)
    else:
        flat = 0.5 if label in ("ellipse", "rectangle") else 1
        box = [float(v) for v in (x - r, y - r * flat, x + r, y + r * flat)]
        (pen.rectangle if label == "rectangle" else pen.ellipse)(box, **look)
    return page


def _by_skimage(label: str, rng: np.random.Generator) -> Image.Image:
    page = np.full((180, 220), rng.integers(0, 60), np.uint8)
    y, x, r = rng.integers(75, 105), rng.integers(75, 145), rng.integers(30, 70)
    if label == "star":
        turns = np.arange(10) * math.pi / 5 + rng.uniform(0, 6)
        long = np.where(np.arange(10) % 2, 0.4, 1) * r
        rows, columns = skimage.draw.polygon(y + long * np.sin(turns), x + long * np.cos(turns))
    else:
        rows, columns = skimage.draw.ellipse(
            y, x, r, r * (0.5 if label == "ellipse" else 1), rotation=rng.uniform(-1, 1)
        )
    page[rows, columns] = rng.integers(140, 256)
    return Image.fromarray(page)


def _other_makings() -> list[tuple[str, bytes]]:
    rng = np.random.default_rng(0)
    made = []
    for number in range(140):
        label = ("circle", "square", "triangle", "rectangle", "pentagon", "hexagon", "ellipse")[
            number % 7
        ]
        made.append((label, _by_pillow(label, rng)))
    for number in range(60):
        label = ("circle", "ellipse", "star")[number % 3]
        made.append((label, _by_skimage(label, rng)))
    files = []
    for number, (label, page) in enumerate(made):
        buffer = io.BytesIO()
        page.save(buffer, "JPEG" if number % 2 else "PNG")
        files.append((label, buffer.getvalue()))
    return files


@pytest.mark.slow
def test_shapes_are_learned(tmp_path: Path) -> None:
    split = FAMILY.read(None, {})
    model = _opened(FAMILY.fit(split, {}, 0, _ignore), tmp_path)
    metrics = FAMILY.evaluate(model, split.held_out)
    others = _other_makings()
    right = [predict(model, Picture(data))["class"] == label for label, data in others]
    assert metrics["accuracy"] >= 0.97
    assert np.mean(right) >= 0.95
