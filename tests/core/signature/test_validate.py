"""Payloads are checked against their signature: what fits becomes arrays, the rest is located."""

import math
from typing import Any

import numpy as np
import pytest

from services.core.errors import InvalidInputError, PayloadTooLargeError
from services.core.signature import Field, Param, Signature
from services.core.signature.validate import Checked, Validator

DOUBLES = Signature((Field("a", "double"), Field("b", "double")))
MIXED = Signature(
    (
        Field("age", "long"),
        Field("income", "double", required=False),
        Field("city", "string", required=False),
        Field("member", "boolean"),
    ),
    params=(
        Param("k", "integer", 3),
        Param("t", "double", [1.0], (-1,)),
        Param("note", "string", None),
        Param("o", "object", {}, detail={"type": "object", "properties": {}}),
    ),
)
ROW = {"age": 30, "income": 1.5, "city": "Bern", "member": True}


def check(signature: Signature, inputs: Any, **more: Any) -> Checked:
    return Validator(signature, max_rows=100).payload({"inputs": inputs, **more})


def refused(signature: Signature, inputs: Any, **more: Any) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        check(signature, inputs, **more)
    return caught.value


def one(kind: str, value: Any, required: bool = True) -> Any:
    found = check(Signature((Field("x", kind, required),)), [{"x": value}])
    array = found.columns["x"] if found.matrix is None else found.matrix[:, 0]
    return array[0]


def tensor(dtype: str, *shape: int) -> Signature:
    return Signature((Field(None, "tensor", dtype=dtype, shape=shape),))


@pytest.mark.parametrize(
    "inputs",
    [[{"a": 1, "b": 2.5}, {"b": 4, "a": 3}], [[1, 2.5], [3, 4]], {"b": [2.5, 4], "a": [1, 3]}],
)
def test_three_layouts_of_one_table(inputs: Any) -> None:
    found = check(DOUBLES, inputs)
    assert found.matrix is not None and found.matrix.dtype == np.float64
    assert found.matrix.tolist() == [[1, 2.5], [3, 4]]
    assert found.rows == 2


def test_mixed_columns_keep_their_types() -> None:
    found = check(MIXED, [ROW, {"age": 31.0, "member": False}])
    assert found.matrix is None
    kinds = {name: str(array.dtype) for name, array in found.columns.items()}
    assert kinds == {"age": "int64", "income": "float64", "city": "object", "member": "bool"}
    assert found.columns["age"].tolist() == [30, 31]
    assert math.isnan(found.columns["income"][1])
    assert found.columns["city"].tolist() == ["Bern", None]


def test_rows_may_leave_out_what_is_optional_at_their_end() -> None:
    signature = Signature((Field("a", "double"), Field("b", "double", required=False)))
    found = check(signature, [[1], [2, 3]])
    assert found.matrix is not None
    np.testing.assert_array_equal(found.matrix, [[1, math.nan], [2, 3]])
    assert refused(signature, [[1, 2, 3]]).where == "inputs[0]"


def test_columns_without_names_go_by_position() -> None:
    signature = Signature((Field(None, "double"), Field(None, "string")))
    found = check(signature, [[1, "a"], [2, "b"]])
    assert found.columns[1].tolist() == ["a", "b"]
    only = Signature((Field(None, "string"),))
    assert check(only, ["a", "b"]).columns[0].tolist() == ["a", "b"]
    assert check(only, [["a"], ["b"]]).columns[0].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("double", 3, 3.0),
        ("float", 0.1, np.float32(0.1)),
        ("long", 2.0, 2),
        ("long", 2**63 - 1, 2**63 - 1),
        ("integer", -(2**31), -(2**31)),
        ("string", "é🙂", "é🙂"),
        ("binary", "AAE=", b"\0\1"),
        ("datetime", "2024-05-01", np.datetime64("2024-05-01", "ns")),
        ("datetime", "2024-05-01T12:00:00+02:00", np.datetime64("2024-05-01T10:00", "ns")),
        ("any", {"deep": [1, None]}, {"deep": [1, None]}),
    ],
)
def test_values_that_fit(kind: str, value: Any, expected: Any) -> None:
    assert one(kind, value) == expected


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *[(kind, value) for kind in ("double", "long") for value in (True, "1", "NaN", None, [1])],
        ("double", math.nan),
        ("double", math.inf),
        ("double", 10**400),
        ("float", 1e39),
        ("long", 1.5),
        ("long", 2**63),
        ("long", 1e300),
        ("integer", 2**31),
        ("boolean", 1),
        ("boolean", "true"),
        ("string", 1),
        ("string", "\ud800"),
        ("binary", "a"),
        ("binary", "é==="),
        ("datetime", "yesterday"),
        ("datetime", 1714557600),
        ("datetime", "0001-01-01T00:00:00+14:00"),
        ("datetime", "3000-01-01"),
        ("any", [math.nan]),
        ("any", {"\udfff": 1}),
    ],
)
def test_values_that_do_not_fit(kind: str, value: Any) -> None:
    for inputs, where in (([{"x": value}], "inputs[0].x"), ({"x": [value]}, "inputs.x[0]")):
        error = refused(Signature((Field("x", kind),)), inputs)
        assert error.where == where
        assert error.expected


@pytest.mark.parametrize("kind", ["long", "integer"])
def test_whole_numbers_have_no_word_for_missing(kind: str) -> None:
    error = refused(Signature((Field("x", kind, required=False),)), [{"x": None}])
    assert "null" in error.message
    other = Signature((Field("x", kind, required=False), Field("y", "double")))
    assert list(check(other, [{"y": 1}]).columns) == ["y"]


@pytest.mark.parametrize("kind", ["double", "float", "datetime", "string", "boolean", "binary"])
def test_null_where_it_is_allowed(kind: str) -> None:
    value = one(kind, None, required=False)
    assert (
        value is None or np.isnat(value) if kind == "datetime" else value is None or value != value
    )


@pytest.mark.parametrize(
    ("inputs", "where", "words"),
    [
        ([{**ROW, "agee": 1}], "inputs[0].agee", "perhaps age"),
        ([ROW, {"member": True}], "inputs[1].age", "long"),
        ({"age": [1]}, "inputs.member", "boolean"),
        ({"age": [1, 2], "member": [True]}, "inputs.member", "2"),
        ({"age": 1, "member": [True]}, "inputs.age", "list"),
        ([[1, 2.0, "x", True, 5]], "inputs[0]", "4 values: age, income, city, member"),
        ([[1, 2.0, 3, True]], "inputs[0][2]", "text"),
        ([ROW, [1]], "inputs[0]", "list of 4"),
        ([1], "inputs[0]", "list of 4"),
        ([], "inputs", "one row"),
        ({}, "inputs.age", "long"),
        (None, "inputs", "list of rows"),
        ("x", "inputs", "list of rows"),
        ([{**ROW, "a very secret value": 1}], "inputs[0]", "any of age"),
    ],
)
def test_errors_say_where_and_what(inputs: Any, where: str, words: str) -> None:
    error = refused(MIXED, inputs)
    assert error.where == where
    assert words in str(error.expected)
    assert "secret" not in error.message + str(error.expected)


def test_only_a_few_problems_are_reported() -> None:
    error = refused(DOUBLES, [["x", "y"]] * 50)
    assert error.message.count("is text") == 3
    assert error.where == "inputs[0][0]"


def test_too_many_rows() -> None:
    for inputs in ([[1, 2]] * 101, {"a": [1] * 101, "b": [1] * 101}):
        with pytest.raises(PayloadTooLargeError, match="101 rows"):
            check(DOUBLES, inputs)
    with pytest.raises(PayloadTooLargeError):
        check(tensor("int8", -1), [1] * 101)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (None, "body"),
        ([], "body"),
        ({}, "inputs"),
        ({"inputs": [[1, 2]], "rows": 1}, "body.rows"),
        ({"inputs": [[1, 2]], "params": []}, "params"),
        ({"inputs": [[1, 2]], "params": {"k": 1}}, "params.k"),
    ],
)
def test_the_body_itself(body: Any, where: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Validator(DOUBLES, 10).payload(body)
    assert caught.value.where == where


def test_params() -> None:
    given = {"k": 4.0, "t": [1, 2.5], "note": None, "o": {}}
    found = check(MIXED, [ROW], params=given).params
    assert found == given and type(found["k"]) is int
    assert check(MIXED, [ROW], params=None).params == {}


@pytest.mark.parametrize(
    ("params", "where"),
    [
        ({"k": "4"}, "params.k"),
        ({"k": None}, "params.k"),
        ({"t": 1.0}, "params.t"),
        ({"t": [1.0, "x"]}, "params.t[1]"),
        ({"o": {"z": 1}}, "params.o.z"),
        ({"kk": 1}, "params.kk"),
    ],
)
def test_bad_params(params: Any, where: str) -> None:
    assert refused(MIXED, [ROW], params=params).where == where
