"""NumPy arrays instead of lists: the same checks, the same results, the same errors."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from services.core.errors import InvalidInputError, PayloadTooLargeError
from services.core.signature import Field, Signature
from services.core.signature.types import COLUMN_TYPES
from services.core.signature.validate import Validator

NUMBERS = ("integer", "long", "float", "double")
DTYPES = ("?", "i1", "u1", "<i2", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8")


def table(*kinds: str, required: bool = True) -> Validator:
    names = [f"c{number}" for number in range(len(kinds))]
    fields = [Field(n, kind, required) for n, kind in zip(names, kinds, strict=True)]
    return Validator(Signature(tuple(fields)), 10)


def tensor(dtype: str, *shape: int, name: str | None = None) -> Validator:
    return Validator(Signature((Field(name, "tensor", dtype=dtype, shape=shape),)), 10)


def refused(validator: Validator, value: Any) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        validator.inputs(value)
    return caught.value


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(NUMBERS),
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: npst.arrays(np.dtype(dtype), npst.array_shapes(min_dims=2, max_dims=2))
    ),
    st.booleans(),
)
def test_a_matrix_is_judged_as_its_lists_are(kind: str, array: Any, required: bool) -> None:
    validator = table(*[kind] * array.shape[1], required=required)
    # What is NaN in an array is null in JSON.
    rows = [[None if value != value else value for value in row] for row in array.tolist()]
    try:
        expected = validator.inputs(rows)
    except InvalidInputError:
        by_array, by_rows = refused(validator, array), refused(validator, rows)
        # A value that is not there at all is told in other words.
        if not np.isnan(array.astype(float)).any():
            assert (by_array.where, by_array.expected) == (by_rows.where, by_rows.expected)
        return
    found = validator.inputs(array)
    assert found.rows == expected.rows
    if expected.matrix is not None:
        assert found.matrix is not None and found.matrix.dtype == expected.matrix.dtype
        assert np.array_equal(found.matrix, expected.matrix, equal_nan=True)


@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize("dtype", ["<i4", "<f8", "u1"])
def test_a_matrix_of_the_declared_type(kind: str, dtype: str) -> None:
    found = table(kind, kind).inputs(np.array([[1, 2], [3, 4], [5, 6]], dtype))
    assert found.rows == 3 and found.matrix is not None
    assert found.matrix.dtype == COLUMN_TYPES[kind]
    assert found.matrix.tolist() == [[1, 2], [3, 4], [5, 6]]


def test_columns_by_name_in_any_order() -> None:
    columns = {"c1": np.array([[3.0], [4.0]]), "c0": np.array([1, 2], np.int16)}
    found = table("double", "double").inputs(columns)
    assert found.matrix is not None and found.matrix.tolist() == [[1, 3], [2, 4]]


def test_columns_of_many_types() -> None:
    validator = table("double", "string", "boolean", "binary", "long", "datetime")
    texts, raws, days = (np.empty(2, object) for _ in range(3))
    texts[:], raws[:], days[:] = ["a", "b"], [b"\xff", b""], ["2024-05-01", "2024-05-02T12:00:00Z"]
    values = [np.array([1, 2], np.float32), texts, np.array([True, False]), raws,
              np.array([5, 6], np.uint8), days]  # fmt: skip
    found = validator.inputs({f"c{number}": value for number, value in enumerate(values)})
    assert found.matrix is None and found.rows == 2
    assert found.columns["c0"].dtype == np.float64
    assert found.columns["c1"].tolist() == ["a", "b"]
    assert found.columns["c2"].dtype == np.bool_
    assert found.columns["c3"].tolist() == [b"\xff", b""]
    assert found.columns["c4"].tolist() == [5, 6] and found.columns["c4"].dtype == np.int64
    assert found.columns["c5"].dtype == "datetime64[ns]"


def test_nan_is_null_where_null_may_be() -> None:
    column = np.array([1.0, np.nan])
    found = table("double", required=False).inputs({"c0": column}).matrix
    assert found is not None and np.isnan(found[1, 0])
    error = refused(table("double"), {"c0": column})
    assert error.where == "inputs.c0[1]" and "not finite" in error.message
    assert "not finite" in refused(table("double", required=False), np.array([[np.inf]])).message


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (1.5, "is no whole number"),
        (2.0**31, "is out of range"),
        (np.nan, "is not finite"),
        (-np.inf, "is not finite"),
    ],
)
def test_a_float_that_would_lose_something_is_refused(value: float, what: str) -> None:
    error = refused(table("integer", "integer"), np.array([[1.0, 2.0], [3.0, value]]))
    assert error.where == "inputs[1][1]" and what in error.message
    assert error.expected == f"a whole number from {-(2**31)} to {2**31 - 1}"


def test_extremes_of_64_bits() -> None:
    extremes = np.array([[-(2**63)], [2**63 - 1]])
    found = table("long").inputs(extremes).matrix
    assert found is not None and found.tolist() == extremes.tolist()
    assert refused(table("long"), np.array([[2**63]], np.uint64)).where == "inputs[0][0]"
    assert refused(table("long"), np.array([[2.0**63]])).where == "inputs[0][0]"
    assert tensor("uint64", -1).inputs(np.array([2**64 - 1], np.uint64)).rows == 1


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(3),
        np.zeros((2, 2)),
        np.zeros((2, 4)),
        np.zeros((2, 3, 1)),
        np.array(1.0),
    ],
)
def test_a_matrix_of_another_shape(array: Any) -> None:
    error = refused(table("double", "double", "double"), array)
    assert error.where == "inputs" and error.received == f"float64 {list(array.shape)}"
    assert error.expected is not None and "[rows, 3]" in error.expected


def test_other_mistakes() -> None:
    one = table("double")
    assert refused(one, np.zeros((0, 1))).message == "inputs has no rows."
    assert isinstance(refused(one, np.zeros((11, 1))), PayloadTooLargeError)
    assert isinstance(refused(one, {"c0": np.zeros(11)}), PayloadTooLargeError)
    assert refused(one, {"c0": np.zeros((2, 2))}).where == "inputs.c0"
    assert refused(one, {"c0": np.array([True])}).where == "inputs.c0[0]"
    assert refused(one, {"c1": np.zeros(1)}).where == "inputs.c1"
    assert refused(table("boolean"), {"c0": np.ones(1)}).where == "inputs.c0[0]"
    assert refused(table("string"), np.ones(1)).where == "inputs[0]"
    two = table("double", "double")
    error = refused(two, {"c0": np.zeros(1), "c1": np.zeros(2)})
    assert error.where == "inputs.c1"


def test_one_column_alone() -> None:
    for array in (np.arange(3.0), np.arange(3.0).reshape(3, 1)):
        found = table("double").inputs(array).matrix
        assert found is not None and found.tolist() == [[0], [1], [2]]


def test_tensors() -> None:
    found = tensor("float32", -1, 2).inputs(np.array([[1, 2]], np.int8))
    assert found.matrix is not None and found.matrix.dtype == np.float32
    named = tensor("int64", -1, name="x").inputs({"x": np.array([1.0, 2.0])})
    assert named.columns["x"].tolist() == [1, 2]
    error = refused(tensor("float32", -1, 2), np.zeros((2, 3)))
    assert error.where == "inputs" and error.received == "float64 [2, 3]"
    assert refused(tensor("int8", -1, 2), np.full((2, 2), 300)).where == "inputs[0][0]"
    assert refused(tensor("float32", -1), np.zeros(11)).code == "payload_too_large"
    texts = np.array([["a", "bc"]], object)
    assert tensor("str", -1, 2).inputs(texts).matrix.dtype.kind == "U"  # type: ignore[union-attr]
