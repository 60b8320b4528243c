"""The measures: perfect, empty and spoilt predictions, and the hand marks they are held to."""

import builtins
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from services.training.segmenter import evaluate
from services.training.segmenter.scenes import Scene, generate_scene

HERE = Path(__file__).parent
COINS, PHOTOGRAPHS = HERE / "coins.json", HERE / "photographs.json"
SEEDS = range(10_000_000, 10_000_006)
SIZE = 128

Prediction = tuple[NDArray[np.float64], NDArray[np.bool_]]


def _knowing(answer: Callable[[Scene], NDArray[np.bool_]]) -> evaluate.Predictor:
    """A predictor that recognises the evaluation scenes and answers from their masks."""
    known = {s.image.tobytes(): s for s in (generate_scene(seed, SIZE) for seed in SEEDS)}

    def predict(image: NDArray[np.uint8]) -> Prediction:
        masks = answer(known[image.tobytes()])
        return np.linspace(0.9, 0.8, len(masks)), masks

    return predict


def _nothing(image: NDArray[np.uint8]) -> Prediction:
    return np.zeros(0), np.zeros((0, *image.shape[:2]), np.bool_)


def _coin_masks() -> NDArray[np.bool_]:
    marks = json.loads(COINS.read_text(encoding="utf-8"))
    return evaluate.ellipse_masks(marks["ellipses"], *marks["size"])


def test_perfect_masks_score_one(capsys: pytest.CaptureFixture[str]) -> None:
    result = evaluate.evaluate_scenes(_knowing(lambda scene: scene.masks), SEEDS, SIZE)
    assert result["AP"] == pytest.approx(1.0)
    assert result["AP50"] == result["AP75"] == result["recall"] == pytest.approx(1.0)
    assert capsys.readouterr().out == ""


def test_no_masks_score_nothing() -> None:
    result = evaluate.evaluate_scenes(_nothing, SEEDS, SIZE)
    assert result["AP"] == result["recall"] == 0.0


def test_shifted_masks_score_less_and_less() -> None:
    def moved(pixels: int) -> Callable[[Scene], NDArray[np.bool_]]:
        return lambda scene: np.roll(scene.masks, pixels, axis=2)

    scores = [
        evaluate.evaluate_scenes(_knowing(moved(pixels)), SEEDS, SIZE)["AP"]
        for pixels in (1, 3, 40)
    ]
    assert 1.0 > scores[0] > scores[1] > scores[2]
    assert scores[2] < 0.1


def test_false_alarms_ahead_of_the_truth_cost_precision() -> None:
    def noisy(scene: Scene) -> NDArray[np.bool_]:
        wrong = np.zeros((3, SIZE, SIZE), np.bool_)
        wrong[:, 3:9, 100:120] = True
        return np.concatenate([wrong, scene.masks])

    result = evaluate.evaluate_scenes(_knowing(noisy), SEEDS, SIZE)
    assert result["AP50"] < 0.95
    assert result["recall"] == pytest.approx(1.0)


def test_coin_marks_are_24_separate_outlines_inside_the_picture() -> None:
    marks = json.loads(COINS.read_text(encoding="utf-8"))
    masks = _coin_masks()
    assert masks.shape == (24, 303, 384)
    assert masks.sum(axis=0).max() == 1
    for cx, cy, rx, ry, _ in marks["ellipses"]:
        reach = max(rx, ry)
        assert 15 < min(rx, ry) <= reach < 35
        assert reach <= cx <= 384 - reach
        assert reach <= cy <= 303 - reach


def test_coin_marks_lie_on_the_coins() -> None:
    data = pytest.importorskip("skimage.data")
    picture = data.coins().astype(float)
    for mask in _coin_masks():
        rows, columns = np.nonzero(mask)
        ring = np.zeros_like(mask)
        ring[max(rows.min() - 5, 0) : rows.max() + 6, max(columns.min() - 5, 0) :
             columns.max() + 6] = True  # fmt: skip
        assert picture[mask].mean() > picture[ring & ~mask].mean() + 25


def test_perfect_coins_are_all_found() -> None:
    pytest.importorskip("skimage")
    masks = _coin_masks()
    result = evaluate.evaluate_coins(lambda image: (np.full(24, 0.9), masks), COINS)
    assert result == {"coins": 24, "found": 24, "false_positives": 0, "lowest_iou": 1.0}


def test_coins_count_once_and_only_when_sure_and_tight() -> None:
    pytest.importorskip("skimage")
    masks = _coin_masks()
    masks[0] = np.roll(masks[0], 8, axis=1)  # off its coin
    doubled = np.concatenate([masks, masks[5:6]])  # one coin twice
    scores = np.full(25, 0.9)
    scores[7] = 0.4  # one not sure enough
    result = evaluate.evaluate_coins(lambda image: (scores, doubled), COINS)
    assert result["found"] == 22
    assert result["false_positives"] == 2
    assert result["lowest_iou"] == 0.0
    assert evaluate.evaluate_coins(_nothing, COINS)["found"] == 0


def test_photograph_marks_fit_their_pictures() -> None:
    pytest.importorskip("skimage")
    photos = json.loads(PHOTOGRAPHS.read_text(encoding="utf-8"))["photos"]
    assert len({photo["name"] for photo in photos}) == 6
    for photo in photos:
        h, w = photo["size"]
        assert evaluate.load_photograph(photo["name"]).shape == (h, w, 3)
        assert 1 <= len(photo["objects"]) <= 4
        for x0, y0, x1, y1 in (mark["box"] for mark in photo["objects"]):
            assert 0 <= x0 < x1 <= w
            assert 0 <= y0 < y1 <= h


def _marked(skip: str = "", decoys: int = 0) -> evaluate.Predictor:
    photos = json.loads(PHOTOGRAPHS.read_text(encoding="utf-8"))["photos"]
    known = {evaluate.load_photograph(p["name"]).tobytes(): p["objects"] for p in photos}

    def predict(image: NDArray[np.uint8]) -> Prediction:
        boxes = [m["box"] for m in known[image.tobytes()] if m["label"] != skip]
        masks = np.zeros((decoys + len(boxes), *image.shape[:2]), np.bool_)
        masks[:decoys, :5, :5] = True
        for mask, (x0, y0, x1, y1) in zip(masks[decoys:], boxes, strict=True):
            mask[y0:y1, x0:x1] = True
        return np.linspace(0.9, 0.1, len(masks)), masks

    return predict


def test_photographs_name_what_was_missed() -> None:
    pytest.importorskip("skimage")
    full = evaluate.evaluate_photographs(_marked(), PHOTOGRAPHS)
    assert full["recall"] == 1.0
    without = evaluate.evaluate_photographs(_marked(skip="spoon"), PHOTOGRAPHS)
    assert without["found"] == full["found"] - 1
    assert without["photos"]["coffee"]["missed"] == ["spoon"]
    assert evaluate.evaluate_photographs(_nothing, PHOTOGRAPHS)["found"] == 0


def test_only_the_ten_best_masks_of_a_photograph_count() -> None:
    pytest.importorskip("skimage")
    buried = evaluate.evaluate_photographs(_marked(decoys=10), PHOTOGRAPHS)
    assert buried["found"] == 0


def test_a_missing_scikit_image_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name.startswith("skimage"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(RuntimeError, match="scikit-image"):
        evaluate.evaluate_coins(_nothing, COINS)
