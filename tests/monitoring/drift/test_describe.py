from typing import Any

import cv2
import numpy as np
import pytest

from services.families.base import Picture
from services.monitoring.drift.describe import MAX_ROWS, describe

ROW = {"age": 40.0, "city": "Rome", "member": "true", "income": None}


@pytest.mark.parametrize(
    "given",
    [
        {"inputs": [{"age": 40, "city": "Rome", "member": True, "income": None}]},
        {"inputs": {"age": [40], "city": ["Rome"], "member": [True], "income": [None]}},
        {"inputs": [[40, "Rome", True, None]]},
        {"inputs": [[40, "Rome", True, float("nan")]], "params": {"a": 1}},
        {"features": [40, "Rome", True, float("inf")]},
        {"features": {"age": 40, "city": "Rome", "member": True, "income": None}},
    ],
)
def test_all_forms_of_a_table_say_the_same(given: Any) -> None:
    (sample,) = describe(given, fields=["age", "city", "member", "income"])
    assert sample.features == ROW


def test_columns_without_names_are_counted() -> None:
    (sample,) = describe({"inputs": np.array([[1.5, 2.5]])})
    assert sample.features == {"column_1": 1.5, "column_2": 2.5}
    (sample,) = describe({"inputs": [[1, 2]]}, fields=["", ""])
    assert sample.features == {"column_1": 1.0, "column_2": 2.0}


@pytest.mark.parametrize(
    "given",
    [
        {"reviews": ["good", "bad"]},
        {"inputs": ["good", "bad"]},
        {"inputs": {"text": ["good", "bad"]}},
        {"inputs": [["good"], ["bad"]]},
        {"inputs": [{"text": "good"}, {"text": "bad"}]},
    ],
)
def test_all_forms_of_texts_say_the_same(given: Any) -> None:
    found = describe(given, {"predictions": ["P", "N"], "confidences": [0.9, 0.8]}, fields=["text"])
    assert [sample.features for sample in found] == [{"text": "good"}, {"text": "bad"}]
    assert [sample.prediction for sample in found] == ["P", "N"]
    assert [sample.confidence for sample in found] == [0.9, 0.8]


def test_all_forms_of_a_picture_say_the_same() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28))
    expected = (pixels / 255).reshape(-1).astype(np.float32)
    forms: list[Any] = [
        {"image": pixels.reshape(-1).tolist()},
        {"image": (pixels / 255).tolist()},
        {"inputs": [pixels.tolist()]},
        {"inputs": pixels.reshape(1, 784)},
        {"inputs": {"image": pixels.reshape(1, 1, 28, 28)}},
        {"inputs": [{"image": pixels.tolist()}]},
        Picture(cv2.imencode(".png", pixels.astype(np.uint8))[1].tobytes()),
    ]
    for form in forms:
        (sample,) = describe(form, fields=["image"])
        value = sample.features["image"]
        assert isinstance(value, np.ndarray)
        np.testing.assert_allclose(value, expected, atol=1e-6)


def test_large_pictures_and_vectors_come_to_one_size() -> None:
    photo = np.full((900, 1200, 3), 128, np.uint8)
    (sample,) = describe(Picture(cv2.imencode(".jpg", photo)[1].tobytes()))
    value = sample.features["image"]
    assert isinstance(value, np.ndarray)
    assert value.shape == (784,)
    np.testing.assert_allclose(value, 128 / 255, atol=0.02)
    (sample,) = describe({"inputs": [[-0.5] * 5000]}, fields=["vector"])
    vector = sample.features["vector"]
    assert isinstance(vector, np.ndarray)
    assert vector.shape == (784,)
    assert (vector == -0.5).all()


@pytest.mark.parametrize(
    "given",
    [None, {}, [], "text", 3, {"inputs": None}, {"inputs": {"a": [1], "b": [1, 2]}}, {"inputs": []},
     {"bytes": 4, "kind": "png"}, {"a": 1, "b": 2}],
)  # fmt: skip
def test_what_is_not_on_record_leaves_the_answer(given: Any) -> None:
    assert describe(given) == []
    (sample,) = describe(given, {"class": "star", "confidence": 0.7})
    assert (sample.features, sample.prediction, sample.confidence) == ({}, "star", 0.7)


@pytest.mark.parametrize(
    "cell", [10**400, [1, "a"], [[1, 2], [3]], [], {"deep": [1]}, {"deep": {1, 2}}, b"bytes"]
)
def test_odd_cells_are_no_error(cell: Any) -> None:
    (sample,) = describe({"inputs": [{"odd": cell, "even": 2}]})
    assert sample.features["even"] == 2.0
    assert sample.features["odd"] is None or isinstance(sample.features["odd"], str)


def test_a_broken_picture_is_missing() -> None:
    (sample,) = describe(Picture(b"no picture at all"))
    assert sample.features == {"image": None}


def test_redacted_values_are_hidden_and_not_missing() -> None:
    (sample,) = describe({"inputs": [{"name": "[redacted]", "age": 3}]})
    assert sample.features == {"age": 3.0}
    assert sample.hidden == {"name"}


def test_of_many_rows_some_are_taken_with_their_answers() -> None:
    given = {"inputs": [[float(number)] for number in range(1000)]}
    output = {"predictions": list(range(1000)), "probabilities": [[0.25, 0.75]] * 1000}
    found = describe(given, output, fields=["number"])
    assert len(found) == MAX_ROWS
    assert found[0].features["number"] == 0.0
    assert found[-1].features["number"] == 999.0
    assert all(s.prediction == str(int(float(str(s.features["number"])))) for s in found)
    assert {s.confidence for s in found} == {0.75}
    assert len(describe(given, max_rows=10_000)) == 1000


def test_a_record_s_confidence_counts_for_one_row_only() -> None:
    assert describe({"features": [1.0]}, None, 0.6)[0].confidence == 0.6
    assert [s.confidence for s in describe({"inputs": [[1.0], [2.0]]}, None, 0.6)] == [None, None]


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        ({"prediction": 3}, "3"), ({"prediction": 3.5}, 3.5), ({"predictions": [True]}, "true"),
        ([7], "7"), ([{"label": "x"}], "x"), ({"instances": [{}, {}]}, 2.0),
        ({"predictions": [[1, 2]]}, None), ({"predictions": [1, 2]}, None), (None, None),
    ],
)  # fmt: skip
def test_answers_by_their_usual_names(output: Any, answer: Any) -> None:
    assert describe({"features": [1.0]}, output)[0].prediction == answer


def test_answers_that_the_family_gives_come_first() -> None:
    (sample,) = describe({"features": [1.0]}, {"prediction": 3}, labels=["three"])
    assert sample.prediction == "three"
