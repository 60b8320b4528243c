"""Digits: what a body may look like, and how well it is learned."""

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from services.core.errors import CheckpointError, InvalidInputError, PayloadTooLargeError
from services.families.base import Artifact, Fitted, Model, Split, predict
from services.families.digits import FAMILY
from services.families.digits.placing import place
from tests.conftest import settings_for_tests
from tests.support.strokes import digits

SETTINGS = settings_for_tests(max_rows=50)
QUICK = {"epochs": 2, "hidden_size": 32}


def _ignore(*_: Any) -> None:
    pass


def _opened(fitted: Fitted, folder: Path) -> Model:
    folder.mkdir(exist_ok=True)
    fitted.save(folder)
    config = json.loads(json.dumps(fitted.config))
    artifact = Artifact("digits", "MNISTClassifier", "3", folder, config, fitted.signature)
    return FAMILY.open(artifact, SETTINGS)


@pytest.fixture(scope="module")
def split() -> Split:
    return FAMILY.read(None, {})


@pytest.fixture(scope="module")
def fitted(split: Split) -> Fitted:
    return FAMILY.fit(split, QUICK, 0, _ignore)


@pytest.fixture(scope="module")
def model(fitted: Fitted, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return _opened(fitted, tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def seven(split: Split) -> NDArray[np.uint8]:
    images, labels = split.held_out
    found: NDArray[np.uint8] = images[labels == 7][0]
    return found


def test_one_picture_is_answered_as_documented(model: Model, fitted: Fitted) -> None:
    answer = predict(model, fitted.example)
    assert set(answer) == {"prediction", "confidence", "probabilities"}
    assert len(answer["probabilities"]) == 10
    assert math.isclose(sum(answer["probabilities"]), 1, abs_tol=1e-5)
    assert answer["confidence"] == max(answer["probabilities"])
    assert answer["probabilities"][answer["prediction"]] == answer["confidence"]
    assert json.loads(json.dumps(answer)) == answer
    assert model.confidences(answer) == [answer["confidence"]]


def test_every_form_of_a_picture_gives_the_same_answer(
    model: Model, seven: NDArray[np.uint8]
) -> None:
    expected = predict(model, {"image": seven.reshape(-1).tolist()})["probabilities"]
    scaled = seven / 255
    for image in (seven.tolist(), scaled.reshape(-1).tolist(), scaled.tolist(), [seven.tolist()]):
        assert predict(model, {"image": image})["probabilities"] == pytest.approx(expected)
    many: list[Any] = [
        [seven.tolist()],
        [seven.reshape(-1).tolist()],
        [{"image": seven.tolist()}],
        {"image": [seven.reshape(-1).tolist()]},
        {"image": seven[None].astype(np.float32)},
        scaled[None],
    ]
    for inputs in many:
        answer = predict(model, {"inputs": inputs, "params": {}})
        assert answer["probabilities"][0] == pytest.approx(expected)
        assert answer["classes"] == list(range(10))


def test_together_they_are_answered_as_alone(model: Model, split: Split) -> None:
    images = split.held_out[0][:7] / 255
    bodies = [{"inputs": images[:4].tolist()}, {"image": images[4].tolist()}]
    bodies.append({"inputs": images[5:].tolist()})
    prepared = [model.preprocess(body) for body in bodies]
    assert [model.rows(one) for one in prepared] == [4, 1, 2]
    together = model.infer(prepared)
    for one, body, raw in zip(prepared, bodies, together, strict=True):
        alone, batched = predict(model, body), model.postprocess(one, raw)
        assert np.allclose(alone["probabilities"], batched["probabilities"], atol=1e-5)
        assert alone.keys() == batched.keys()


def test_the_cache_tells_pictures_and_forms_apart(model: Model, split: Split) -> None:
    first, second = (image.tolist() for image in split.held_out[0][:2])
    bodies = [{"image": first}, {"image": second}, {"inputs": [first]}, {"inputs": [first, second]}]
    keys = {model.cache_key(model.preprocess(body)) for body in bodies}
    assert len(keys) == 4
    assert model.cache_key(model.preprocess({"image": np.array(first) / 255})) in keys


FLAT: list[Any] = [0.0] * 784


def _with(index: int, value: Any) -> list[Any]:
    return [*FLAT[:index], value, *FLAT[index + 1 :]]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ([1, 2], "body"),
        ({}, "body"),
        ({"image": FLAT, "inputs": [FLAT]}, "body"),
        ({"image": FLAT, "secret": 1}, "body.secret"),
        ({"image": FLAT, "params": {"a": 1}}, "params"),
        ({"image": None}, "image"),
        ({"image": "abc"}, "image"),
        ({"image": FLAT[:-1]}, "image"),
        ({"image": _with(17, "0")}, "image[17]"),
        ({"image": _with(17, True)}, "image[17]"),
        ({"image": _with(17, None)}, "image[17]"),
        ({"image": _with(17, [1])}, "image[17]"),
        ({"image": _with(17, math.nan)}, "image[17]"),
        ({"image": _with(17, -0.1)}, "image[17]"),
        ({"image": _with(17, 256)}, "image[17]"),
        ({"image": _with(17, 10**400)}, "image"),
        ({"image": [[0.0] * 28] * 27}, "image"),
        ({"image": [*[[0.0] * 28] * 27, [0.0] * 27]}, "image[27]"),
        ({"image": [*[[0.0] * 28] * 27, [*[0.0] * 27, "x"]]}, "image[27][27]"),
        ({"image": np.zeros(783)}, "image"),
        ({"image": np.zeros(784, "<U1")}, "image"),
        ({"inputs": []}, "inputs"),
        ({"inputs": 5}, "inputs"),
        ({"inputs": FLAT[:40]}, "inputs[0]"),
        ({"inputs": [FLAT, _with(3, -1)]}, "inputs[1][3]"),
        ({"inputs": [{"image": FLAT}, {"other": FLAT}]}, "inputs[1]"),
        ({"inputs": [{"image": _with(3, "x")}]}, "inputs[0].image[3]"),
        ({"inputs": {"image": [_with(3, "x")]}}, "inputs.image[0][3]"),
        ({"inputs": {"pixels": [FLAT]}}, "inputs"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(model: Model, body: Any, where: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        model.preprocess(body)
    assert caught.value.where == where
    assert caught.value.expected
    assert caught.value.received
    assert "secret" not in str(caught.value)


def test_more_than_max_rows_are_refused(model: Model) -> None:
    with pytest.raises(PayloadTooLargeError) as caught:
        model.preprocess({"inputs": np.zeros((51, 784))})
    assert caught.value.where == "inputs"
    assert caught.value.expected == "at most 50"


def test_a_blank_picture_is_answered(model: Model) -> None:
    assert 0 <= predict(model, {"image": FLAT})["confidence"] <= 1


def test_a_digit_is_placed_alike_wherever_it_was(seven: NDArray[np.uint8]) -> None:
    placed = place(seven.astype(np.float32))
    assert placed.max() == 1
    rows, columns = np.nonzero(placed > 0.15)
    assert max(np.ptp(rows), np.ptp(columns)) == 19
    wide = np.zeros((90, 70), np.float32)
    wide[50:78, 3:31] = seven
    assert np.array_equal(place(wide), placed)
    assert np.allclose(place((seven / 400).astype(np.float32)), placed, atol=1e-6)


def test_the_same_seed_gives_the_same_model(split: Split, tmp_path: Path) -> None:
    small = Split((split.train[0][:200], split.train[1][:200]), split.held_out, "", "", (200, 359))
    weights = []
    before = torch.get_num_threads(), torch.random.get_rng_state()
    trained = [FAMILY.fit(small, QUICK, seed, _ignore) for seed in (5, 5, 6)]
    after = torch.get_num_threads(), torch.random.get_rng_state()
    for number, one in enumerate(trained):
        folder = tmp_path / str(number)
        folder.mkdir()
        one.save(folder)
        weights.append((folder / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] != weights[2]
    assert after[0] == before[0]
    assert torch.equal(after[1], before[1])


def test_each_epoch_is_reported(split: Split) -> None:
    seen: list[tuple[int, int, set[str]]] = []
    small = Split((split.train[0][:64], split.train[1][:64]), split.held_out, "", "", (64, 359))
    FAMILY.fit(small, QUICK, 0, lambda done, of, values: seen.append((done, of, set(values))))
    assert seen == [(n, 2, {"loss", "train_accuracy"}) for n in (1, 2)]


@pytest.mark.parametrize("config", [{}, {"hidden_size": 33}, {"hidden_size": 10**12}])
def test_weights_that_do_not_fit_are_refused(
    fitted: Fitted, tmp_path: Path, config: dict[str, Any]
) -> None:
    fitted.save(tmp_path)
    with pytest.raises(CheckpointError):
        FAMILY.open(Artifact("digits", "n", "1", tmp_path, config), SETTINGS)


@pytest.mark.parametrize("content", [None, b"", b"\x80\x04K\x01.", os.urandom(500)])
def test_weights_that_are_none_are_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        FAMILY.open(Artifact("digits", "n", "1", tmp_path, {"hidden_size": 32}), SETTINGS)
    assert str(tmp_path) not in caught.value.message


@pytest.mark.slow
def test_digits_are_learned(split: Split, tmp_path: Path) -> None:
    model = _opened(FAMILY.fit(split, {}, 0, _ignore), tmp_path)
    assert FAMILY.evaluate(model, split.held_out)["accuracy"] >= 0.97
    # Of another making: drawn with a pen, of any size, anywhere.
    images, labels = digits(50, 2)
    found = predict(model, {"inputs": images})["predictions"]
    assert np.mean(np.array(found) == labels) >= 0.85
