"""Models with and without signatures: what they are given, and what is made of their answers."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from services.core.errors import CheckpointError, InvalidInputError, PayloadTooLargeError
from services.core.signature import Field, Param, Signature
from services.families.base import Artifact, predict
from services.families.pyfunc import FAMILY
from services.families.pyfunc.outputs import as_json, scores
from tests.families.opened import SETTINGS, Native, opened, together


@pytest.mark.parametrize(
    "body",
    [
        None, {}, {"inputs": None}, {"inputs": []}, {"inputs": {}}, {"inputs": {"a": []}},
        {"inputs": {"a": 1}}, {"inputs": {"a": [1], "b": [1, 2]}}, {"inputs": [float("nan")]},
        {"inputs": ["\ud800"]}, {"inputs": [1], "more": 1}, {"inputs": [1], "params": 3},
        {"inputs": [1], "params": {"x": float("inf")}},
    ],
)  # fmt: skip
def test_bad_payloads_without_a_signature(body: Any) -> None:
    with pytest.raises(InvalidInputError):
        opened(Native(len), None).preprocess(body)


def test_too_many_rows_without_a_signature() -> None:
    for inputs in ([1] * 101, {"a": [1] * 101}):
        with pytest.raises(PayloadTooLargeError):
            opened(Native(len), None).preprocess({"inputs": inputs})


DOUBLES = Signature((Field("a", "double"), Field("b", "double")))
BODY = {"inputs": [[1, 2], [3, 4]]}


@pytest.mark.parametrize(
    ("answer", "joined"),
    [
        (lambda table: table["a"], True),
        (lambda table: table, True),
        (lambda table: table.to_numpy(), True),
        (lambda table: table["a"].tolist(), True),
        (lambda table: {"a": table["a"].to_numpy(), "b": table["b"].tolist()}, True),
        (lambda table: table["a"] - table["a"].mean() + len(table), False),
        (lambda table: [len(table)], False),
        (lambda table: float(table["a"].sum()), False),
        (lambda table: {"a": table["a"], "n": len(table)}, False),
    ],
)
def test_rows_are_joined_only_where_each_stands_for_itself(
    answer: Callable[..., Any], joined: bool
) -> None:
    native = Native(answer)
    model = opened(native, DOUBLES, BODY)
    assert (model.max_batch > 1) == joined
    native.calls.clear()
    payloads = [BODY, {"inputs": [[5, 6]]}]
    found = together(model, payloads)
    assert len(native.calls) == (1 if joined else 2)
    assert found == [predict(model, payload) for payload in payloads]


def test_a_model_of_moods_is_neither_kept_nor_joined() -> None:
    generator = np.random.default_rng(0)
    model = opened(Native(lambda table: generator.normal(size=len(table))), DOUBLES, BODY)
    assert model.max_batch == 1
    assert model.cache_key(model.preprocess(BODY)) is None


def test_the_example_must_be_answered_but_a_made_up_one_need_not() -> None:
    def fail(_: Any) -> Any:
        raise RuntimeError("never")

    with pytest.raises(RuntimeError):
        opened(Native(fail), DOUBLES, BODY)
    assert opened(Native(fail), DOUBLES).max_batch == 1


def test_tables_have_the_types_that_mlflow_enforces() -> None:
    native = Native(lambda table: [0] * len(table))
    names = ("boolean", "integer", "long", "float", "double", "string", "binary", "datetime", "any")
    model = opened(native, Signature(tuple(Field(name, name) for name in names)))
    predict(model, {"inputs": [
        [True, 1, 1, 1, 1, "x", "AA==", "2024-05-01", {"a": [1]}]
    ]})  # fmt: skip
    row = native.calls[-1]
    assert [str(row[name].dtype) for name in names] == [
        "bool", "int32", "int64", "float32", "float64", "str", "object", "datetime64[ns]", "object",
    ]  # fmt: skip
    assert row["binary"][0] == b"\0" and row["any"][0] == {"a": [1]}


def test_named_tensors_and_numbered_columns() -> None:
    native = Native(lambda data: data["x"].sum(axis=1) + data["y"])
    tensors = Signature(
        (
            Field("x", "tensor", dtype="float32", shape=(-1, 2)),
            Field("y", "tensor", dtype="int64", shape=(-1,)),
        )
    )
    model = opened(native, tensors)
    payloads = [{"inputs": {"x": [[1, 2]], "y": [3]}}, {"inputs": {"x": [[0, 0]] * 2, "y": [1, 2]}}]
    assert together(model, payloads) == [{"predictions": [6]}, {"predictions": [1, 2]}]
    numbered = Signature((Field("0", "double", number=0), Field("1", "string", number=1)))
    model = opened(native := Native(lambda table: table[0]), numbered)
    assert predict(model, {"inputs": [[1, "a"]]}) == {"predictions": [1]}
    assert predict(model, {"inputs": [{"1": "a", "0": 2}]}) == {"predictions": [2]}
    fixed = Signature((Field(None, "tensor", dtype="float32", shape=(2, 2)),))
    assert opened(Native(lambda rows: rows), fixed).max_batch == 1


def test_params_without_inputs_in_the_signature() -> None:
    native = Native(lambda data, params: params)
    model = opened(native, Signature((), params=(Param("k", "long", 1),)))
    assert predict(model, {"inputs": ["x"], "params": {"k": 2.0}}) == {"predictions": {"k": 2}}
    with pytest.raises(InvalidInputError):
        model.preprocess({"inputs": ["x"], "params": {"j": 1}})


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (np.array([[1.0, np.nan]]), [[1.0, None]]),
        (np.array(["2024-05-01T12:00"], dtype="datetime64[ns]"), ["2024-05-01T12:00:00"]),
        (np.array([b"\0", "x", None], dtype=object), ["AA==", "x", None]),
        (pd.DataFrame({"a": [1, 2], "b": ["x", None]}), [{"a": 1, "b": "x"}, {"a": 2, "b": None}]),
        (pd.Series([1.5, np.inf]), [1.5, None]),
        (pd.Series([1, None], dtype="Int64"), [1, None]),
        (pd.DataFrame({"t": [pd.Timestamp("2024-05-01"), pd.NaT]}),
         [{"t": "2024-05-01T00:00:00"}, {"t": None}]),
        ({"x": np.float32(0.5), "y": (np.int64(3), dt.date(2024, 5, 1))},
         {"x": 0.5, "y": [3, "2024-05-01"]}),
        (np.bool_(True), True),
        ("text", "text"),
        (None, None),
    ],
)  # fmt: skip
def test_answers_of_every_kind(answer: Any, expected: Any) -> None:
    found = as_json(answer)
    assert found == expected
    json.dumps(found, allow_nan=False)


def test_confidences_only_of_probabilities() -> None:
    assert scores([[0.25, 0.75], [0.5, 0.5]]) == [0.75, 0.5]
    for other in ([[1.0, 2.0]], [0.5], [], None, [["a", "b"]], [[0.5, 0.5], [1.0]], {"a": 1}):
        assert scores(other) == []


def test_the_registry_must_have_opened_it(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        FAMILY.open(Artifact("pyfunc", "m", "1", tmp_path), SETTINGS)
