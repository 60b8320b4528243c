"""Tables: trained here from numbers and from mixed columns, or made elsewhere."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from services.core.errors import CheckpointError, InvalidInputError
from services.core.settings import Settings, load_settings
from services.core.signature import Field, Signature
from services.families.base import Artifact, Split, predict
from services.families.tabular import FAMILY
from services.families.tabular.model import TabularModel

SETTINGS: Settings = load_settings(max_rows=1000)


def opened(estimator: Any, signature: Signature | None, example: Any = None) -> TabularModel:
    artifact = Artifact(
        "tabular", "m", "1", Path("nowhere"), signature=signature, example=example,
        native=lambda: estimator,
    )  # fmt: skip
    model = FAMILY.open(artifact, SETTINGS)
    assert isinstance(model, TabularModel)
    model.warm()
    return model


def fitted(folder: Path, split: Split, **params: Any) -> TabularModel:
    done = FAMILY.fit(split, {**FAMILY.defaults(), **params}, 1, lambda *_: None)
    done.save(folder)
    artifact = Artifact(
        "tabular", "m", "1", folder, config=done.config, signature=done.signature,
        example=done.example,
    )  # fmt: skip
    model = FAMILY.open(artifact, SETTINGS)
    assert isinstance(model, TabularModel)
    model.warm()
    predict(model, done.example)
    return model


@pytest.fixture(scope="module")
def numbers() -> Split:
    return FAMILY.read(None, {"rows": 1000})


@pytest.fixture(scope="module")
def served(numbers: Split, tmp_path_factory: pytest.TempPathFactory) -> TabularModel:
    return fitted(tmp_path_factory.mktemp("served"), numbers)


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    def write(*lines: list[Any], name: str = "table.csv") -> Path:
        path = tmp_path / name
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(lines)
        return path

    return write


def mixed_lines() -> list[list[Any]]:
    generator = np.random.default_rng(1)
    lines: list[list[Any]] = [["age", "city", "label", "income"]]
    for index in range(240):
        age, city = int(generator.integers(18, 80)), ("Bern", "Basel", "Genf")[index % 3]
        income = round(float(generator.normal(50 + age, 5)), 2)
        label = "yes" if (age > 45) == (city != "Genf") else "no"
        missing = [index % 17 == 0, index % 13 == 0]
        lines.append([age, "" if missing[0] else city, label, "NA" if missing[1] else income])
    return lines


def test_it_beats_the_majority(numbers: Split, served: TabularModel) -> None:
    labels = numbers.held_out.labels
    majority = max(labels.count(0), labels.count(1)) / len(labels)
    metrics = FAMILY.evaluate(served, numbers.held_out)
    assert set(metrics) == {"accuracy", "f1", "auc", "likelihood"}
    assert metrics["accuracy"] > majority + 0.25
    assert metrics["auc"] > 0.9


def test_the_seeds_form(served: TabularModel, numbers: Split) -> None:
    row = numbers.train.rows[0]
    output = predict(served, {"features": row})
    assert set(output) == {"prediction", "probability"}
    assert output["prediction"] in (0, 1)
    assert sum(output["probability"]) == pytest.approx(1)
    record = {f"feature_{i + 1}": value for i, value in enumerate(row)}
    assert predict(served, {"features": record}) == output
    several = predict(served, {"inputs": [row, record and row]})
    assert several["classes"] == [0, 1]
    assert several["predictions"] == [output["prediction"]] * 2
    assert several["probabilities"][0] == pytest.approx(output["probability"])
    assert served.confidences(several) == [max(row) for row in several["probabilities"]]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"features": [1.0] * 19 + ["x"]}, "features[19]"),
        ({"features": [1.0] * 19}, "features"),
        ({"features": {"feature_1": 1}}, "features.feature_2"),
        ({"features": {f"feature_{i}": 1 if i else 0 for i in range(21)}}, "features.feature_0"),
        ({"features": [[1.0] * 20]}, "features"),
        ({"features": 3}, "features"),
        ({"inputs": [[1.0] * 20, [True] * 20]}, "inputs[1][0]"),
        ({"inputs": [[1.0] * 20], "features": [1.0] * 20}, "body"),
        ({"features": [1.0] * 20, "params": {"k": 1}}, "params.k"),
        ({"features": [1.0] * 20, "more": 1}, "body.more"),
    ],
)
def test_errors_speak_of_features(served: TabularModel, body: Any, where: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        served.preprocess(body)
    assert caught.value.where == where


def test_the_short_way_is_the_long_way(served: TabularModel, numbers: Split) -> None:
    rows = np.array(numbers.held_out.rows)
    assert served.predictor._way != served.predictor._plain
    predictions, probabilities = served.predictor(rows)
    expected, expected_probabilities = served.predictor._plain(rows)
    assert expected_probabilities is not None and probabilities is not None
    np.testing.assert_array_equal(predictions, expected)
    np.testing.assert_allclose(probabilities, expected_probabilities, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("model", ["logistic", "forest", "boosting"])
def test_mixed_columns(table: Callable[..., Path], tmp_path: Path, model: str) -> None:
    split = FAMILY.read(table(*mixed_lines()), FAMILY.defaults())
    types = {field.name: (field.type, field.required) for field in split.train.fields}
    assert types == {
        "age": ("double", True), "city": ("string", False), "income": ("double", False),
    }  # fmt: skip
    (tmp_path / "m").mkdir()
    served = fitted(tmp_path / "m", split, model=model, n_estimators=20)
    record = {"age": 60, "city": None, "income": None}
    answer = predict(served, {"features": record})
    assert answer["prediction"] in ("yes", "no")
    assert predict(served, {"features": {**record, "city": "never seen"}})["probability"]
    payloads = [{"features": record}, {"inputs": {"age": [30, 70], "city": ["Bern", "Genf"]}}]
    prepared = [served.preprocess(payload) for payload in payloads]
    assert [served.rows(one) for one in prepared] == [1, 2]
    raws = served.infer(prepared)
    assert [served.postprocess(*pair) for pair in zip(prepared, raws, strict=True)] == [
        predict(served, payload) for payload in payloads
    ]
    keys = {served.cache_key(one) for one in prepared}
    keys.add(served.cache_key(served.preprocess({"inputs": [record]})))
    assert len(keys) == 3
    if model != "logistic":
        assert FAMILY.evaluate(served, split.held_out)["accuracy"] > 0.8


def test_numbers_with_gaps(table: Callable[..., Path], tmp_path: Path) -> None:
    lines = [[i, "" if i % 5 == 0 else i % 7, int(i > 50)] for i in range(100)]
    split = FAMILY.read(table(["a", "b", "y"], *lines), FAMILY.defaults())
    (tmp_path / "m").mkdir()
    served = fitted(tmp_path / "m", split)
    assert predict(served, {"inputs": [{"a": 90}, [80, None]][:1]})["predictions"] == [1]
    assert predict(served, {"inputs": [[80, None]]})["predictions"] == [1]


def test_the_split_depends_on_the_table_alone(table: Callable[..., Path]) -> None:
    path = table(*mixed_lines())
    first, again = (FAMILY.read(path, FAMILY.defaults()) for _ in range(2))
    assert first == again
    assert sum(first.rows) == 240
    learned, held_out = (
        {tuple(row) for row in part.rows} for part in (first.train, first.held_out)
    )
    assert held_out and not held_out & learned


@pytest.mark.parametrize(
    ("lines", "where"),
    [
        ([["a", "y"], [1, 0], [2]], "line 3"),
        ([["a", "a"], [1, 0]], "line 1"),
        ([["a", ""], [1, 0]], "line 1"),
        ([], "line 1"),
        ([["a", "y"], [1, 0], [2, ""]], "y"),
        ([["a", "y"], [1, 0], [2, 0]], "y"),
        ([["a", "y"], *[[1, i / 7] for i in range(50)]], "y"),
        ([["a", "y"], ["", 0], ["", 0], ["", 1], ["", 1]], "a"),
        ([["y"], [0], [0], [1], [1]], "y"),
    ],
)
def test_tables_that_cannot_be_learned(
    table: Callable[..., Path], lines: list[list[Any]], where: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        FAMILY.read(table(*lines), FAMILY.defaults())
    assert caught.value.where == where


def test_other_files(tmp_path: Path, table: Callable[..., Path]) -> None:
    (tmp_path / "latin.csv").write_bytes(b"a,y\n\xe9,1\n")
    for path in (tmp_path / "latin.csv", tmp_path / "missing.csv", tmp_path):
        with pytest.raises(InvalidInputError):
            FAMILY.read(path, FAMILY.defaults())
    with pytest.raises(InvalidInputError) as caught:
        FAMILY.read(table(["a", "y"], [1, 0]), {**FAMILY.defaults(), "target": "z"})
    assert caught.value.where == "target"


def frame() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    table = pd.DataFrame({"x": generator.normal(size=60), "s": ["a", "b", None] * 20})
    table["n"] = np.arange(60)
    return table


def test_a_foreign_pipeline_of_names_and_texts() -> None:
    data = frame()
    labels = np.where(data["x"] > 0, "high", "low")
    columns = ColumnTransformer(
        [("n", StandardScaler(), ["x", "n"]), ("s", OneHotEncoder(handle_unknown="ignore"), ["s"])]
    )
    pipeline = make_pipeline(columns, LogisticRegression()).fit(data, labels)
    signature = Signature(
        (Field("x", "double"), Field("s", "string", required=False), Field("n", "long"))
    )
    model = opened(pipeline, signature)
    records = [{"x": 1.5, "s": "a", "n": 3}, {"x": -2, "n": 4, "s": None}]
    output = predict(model, {"inputs": records})
    assert output["predictions"] == ["high", "low"]
    assert output["classes"] == ["high", "low"]
    expected = pipeline.predict_proba(pd.DataFrame(records)[["x", "s", "n"]])
    np.testing.assert_allclose(output["probabilities"], expected)
    assert predict(model, {"features": [1.5, "a", 3]})["prediction"] == "high"


def test_foreign_regressors() -> None:
    points = np.random.default_rng(0).normal(size=(50, 3))
    two = LinearRegression().fit(points, np.stack([points[:, 0], points[:, 1] * 2], axis=1))
    model = opened(two, None)
    assert model.info.task == "tabular-regression"
    assert predict(model, {"features": [1, 2, 3]})["prediction"] == pytest.approx([1, 4])
    output = predict(model, {"inputs": [[1, 2, 3]] * 2})
    assert np.shape(output["predictions"]) == (2, 2) and set(output) == {"predictions"}
    assert model.confidences(output) == []


def test_a_frame_of_numbers_without_a_signature() -> None:
    data = frame()[["x", "n"]].astype(float)
    forest = RandomForestClassifier(5, n_jobs=2, random_state=0).fit(data, data["x"] > 0)
    model = opened(forest, None)
    assert predict(model, {"features": {"x": 2, "n": 1}})["prediction"] is True
    assert forest.n_jobs == 1


def test_classifiers_that_decide_otherwise_are_asked_both() -> None:
    points = np.random.default_rng(0).normal(size=(60, 2))
    labels = (points[:, 0] > 0).astype(int)
    plain = opened(SVC().fit(points, labels), None)
    assert set(predict(plain, {"features": [1, 1]})) == {"prediction"}
    several = MultiOutputClassifier(LogisticRegression()).fit(points, np.stack([labels] * 2, 1))
    assert predict(opened(several, None), {"features": [2, 1]})["prediction"] == [1, 1]


def test_three_classes_take_the_short_way_too() -> None:
    points = np.random.default_rng(0).normal(size=(90, 2))
    labels = np.digitize(points[:, 0], [-0.5, 0.5])
    model = opened(LogisticRegression().fit(points, labels), None)
    assert model.predictor._way != model.predictor._plain
    output = predict(model, {"inputs": points.tolist()})
    expected = model.predictor.estimator
    assert output["predictions"] == expected.predict(points).tolist()
    np.testing.assert_allclose(output["probabilities"], expected.predict_proba(points))


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    for native in (lambda: StandardScaler(), lambda: LogisticRegression()):
        with pytest.raises(CheckpointError):
            FAMILY.open(Artifact("tabular", "m", "1", tmp_path, native=native), SETTINGS)
    with pytest.raises(CheckpointError):
        FAMILY.open(Artifact("tabular", "m", "1", tmp_path), SETTINGS)
