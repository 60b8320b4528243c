"""Tensors and structures: shapes, types and depth are held, and what breaks them is located."""

from typing import Any

import numpy as np
import pytest

from services.core.signature import Field, Signature
from tests.core.signature.test_validate import DOUBLES, check, refused, tensor


def test_tensors() -> None:
    found = check(tensor("float32", -1, 2, 2), [[[1, 2], [3, 4.5]]])
    assert found.matrix is not None and found.matrix.dtype == np.float32
    assert found.matrix.tolist() == [[[1, 2], [3, 4.5]]]
    assert check(tensor("str", -1), ["a", "bcd"]).matrix.dtype.kind == "U"  # type: ignore[union-attr]
    assert check(tensor("uint64", -1), [2**64 - 1]).matrix.tolist() == [2**64 - 1]  # type: ignore[union-attr]
    assert check(tensor("object", -1), ["a", 1, None]).matrix.tolist() == ["a", 1, None]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("dtype", "shape", "value", "where"),
    [
        ("float64", (-1, 2), [[1, 2], [3]], "inputs[1]"),
        ("float64", (-1, -1), [[1, 2], [3]], "inputs[1]"),
        ("float64", (-1, -1, -1), [[[1], [2]], [[1, 2], [3, 4]]], "inputs"),
        ("float64", (-1, 2), [1, 2], "inputs[0]"),
        ("float64", (-1,), [[1]], "inputs[0]"),
        ("float64", (-1, 2), [[1, True]], "inputs[0][1]"),
        ("float64", (-1, 2), [[1, "2"]], "inputs[0][1]"),
        ("float64", (-1, 2), [[1, None]], "inputs[0][1]"),
        ("float16", (-1,), [1e6], "inputs[0]"),
        ("uint8", (-1,), [256], "inputs[0]"),
        ("int64", (-1,), [0.5], "inputs[0]"),
        ("float64", (-1, 1), [[]], "inputs[0]"),
        ("float64", (-1,), [], "inputs"),
        ("float64", (-1,), {"a": [1]}, "inputs"),
        ("float64", (2,), [1, 2, 3], "inputs"),
        ("complex128", (-1,), [1], "inputs[0]"),
    ],
)
def test_bad_tensors(dtype: str, shape: tuple[int, ...], value: Any, where: str) -> None:
    assert refused(tensor(dtype, *shape), value).where == where


def test_named_tensors() -> None:
    signature = Signature(
        (
            Field("x", "tensor", dtype="float32", shape=(-1, 2)),
            Field("y", "tensor", dtype="int64", shape=(-1,)),
        )
    )
    found = check(signature, {"x": [[1, 2]], "y": [3]})
    assert found.rows == 1 and found.columns["y"].tolist() == [3]
    assert refused(signature, {"x": [[1, 2]]}).where == "inputs.y"
    assert refused(signature, {"x": [[1, 2]], "y": [1], "z": 1}).where == "inputs.z"
    assert refused(signature, {"x": [[1, 2]], "y": [1, 2]}).where == "inputs"
    assert refused(signature, [[1, 2]]).where == "inputs"


def test_structures() -> None:
    detail = {
        "type": "object",
        "properties": {
            "tags": {"type": "array", "items": {"type": "string"}},
            "size": {"type": "double", "required": False},
            "more": {"type": "map", "values": {"type": "datetime"}, "required": False},
        },
    }
    signature = Signature((Field("o", "object", detail=detail),))
    assert check(signature, [{"o": {"tags": ["a"], "size": None}}]).columns["o"][0] == {
        "tags": ["a"],
        "size": None,
    }
    for value, where in [
        ({"tags": ["a", 1]}, "inputs[0].o.tags[1]"),
        ({"tags": "a"}, "inputs[0].o.tags"),
        ({}, "inputs[0].o.tags"),
        ({"tags": [], "colour": 1}, "inputs[0].o.colour"),
        ({"tags": [], "more": {"day": "x"}}, "inputs[0].o.more.day"),
        (3, "inputs[0].o"),
    ]:
        assert refused(signature, [{"o": value}]).where == where


def test_deep_nesting_is_bounded() -> None:
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    for signature in (Signature((Field("x", "any"),)), tensor("float64", -1, -1), DOUBLES):
        refused(signature, deep)
        refused(signature, {"x": [deep]})
