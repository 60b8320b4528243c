"""Whatever JSON comes in, arrays or an InvalidInputError come out."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.errors import InvalidInputError
from services.core.signature import Field, Param, Signature
from services.core.signature.example import example_of
from services.core.signature.types import COLUMN_TYPES
from services.core.signature.validate import Checked, Validator

DETAIL: dict[str, dict[str, Any]] = {
    "array": {"type": "array", "items": {"type": "long"}},
    "map": {"type": "map", "values": {"type": "double"}},
    "object": {"type": "object", "properties": {"a": {"type": "string"}}},
}
NAMES = ["a", "b", "c"]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**31, 2**63, 10**400, -(10**400)])
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(["2024-01-01", "AAAA", "\ud800", "0001-01-01T00:00:00+23:59"])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*NAMES, "x"]), inner)
    ),
    max_leaves=12,
)


def column(name: str | None, kind: str, required: bool) -> Field:
    return Field(name, kind, required, detail=DETAIL.get(kind))


KINDS = st.sampled_from(sorted(COLUMN_TYPES))
NAMED = st.lists(st.tuples(KINDS, st.booleans()), min_size=1, max_size=3).map(
    lambda kinds: tuple(column(n, *k) for n, k in zip(NAMES, kinds, strict=False))
)
UNNAMED = st.lists(KINDS, min_size=1, max_size=2).map(
    lambda kinds: tuple(column(None, kind, True) for kind in kinds)
)
DTYPES = st.sampled_from(
    ["float64", "float16", "int8", "uint64", "bool", "str", "object", "bytes", "datetime64[ns]"]
)
SHAPES = st.lists(st.sampled_from([-1, 1, 2]), min_size=1, max_size=3).map(tuple)
TENSORS = st.tuples(DTYPES, SHAPES).map(
    lambda made: (Field(None, "tensor", dtype=made[0], shape=made[1]),)
)
NAMED_TENSORS = st.lists(st.tuples(DTYPES, SHAPES), min_size=1, max_size=2).map(
    lambda made: tuple(
        Field(n, "tensor", dtype=d, shape=s) for n, (d, s) in zip(NAMES, made, strict=False)
    )
)
PARAMS = (Param("a", "datetime", None), Param("b", "long", [1], (-1,)))
SIGNATURES = (NAMED | UNNAMED | TENSORS | NAMED_TENSORS).map(
    lambda fields: Signature(fields, params=PARAMS)
)


def sane(found: Checked, signature: Signature) -> None:
    assert found.rows >= 1
    if found.matrix is not None:
        assert not found.columns
        assert signature.inputs[0].is_tensor or found.matrix.shape[0] == found.rows
    elif not signature.inputs[0].is_tensor:
        assert {len(array) for array in found.columns.values()} <= {found.rows}


@settings(max_examples=300, deadline=None)
@given(SIGNATURES, JSON, st.none() | JSON)
def test_any_value(signature: Signature, inputs: Any, params: Any) -> None:
    found: Checked | None = None
    located: tuple[str | None, ...] = ()
    try:
        found = Validator(signature, 3).payload({"inputs": inputs, "params": params})
    except InvalidInputError as error:
        located = (error.where, error.expected)
    if found is None:
        assert all(located)
    else:
        sane(found, signature)


@settings(max_examples=150, deadline=None)
@given(NAMED, st.data())
def test_tables_of_any_values(fields: tuple[Field, ...], data: st.DataObject) -> None:
    """Closer to the mark than any JSON at all, and the layouts agree with each other."""
    signature = Signature(fields)
    values = SCALARS | st.lists(st.integers(), max_size=2)
    rows = data.draw(st.lists(st.tuples(*(values for _ in fields)), min_size=1, max_size=3))
    names = [field.name for field in fields]
    layouts: list[Any] = [
        [dict(zip(names, row, strict=True)) for row in rows],
        [list(row) for row in rows],
        {name: [row[i] for row in rows] for i, name in enumerate(names)},
    ]
    outcomes = []
    for inputs in layouts:
        try:
            found = Validator(signature, 3).inputs(inputs)
            sane(found, signature)
            arrays = found.columns if found.matrix is None else {"matrix": found.matrix}
            outcomes.append(repr({name: array.tolist() for name, array in arrays.items()}))
        except InvalidInputError:
            outcomes.append("refused")
    assert len(set(outcomes)) == 1


@settings(max_examples=100, deadline=None)
@given(SIGNATURES)
def test_the_made_up_example_fits(signature: Signature) -> None:
    sane(Validator(signature, 3).payload(example_of(signature)), signature)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(SCALARS, min_size=2, max_size=2), min_size=1, max_size=3))
def test_the_fast_way_and_the_slow_one_agree(rows: list[list[Any]]) -> None:
    fast = Signature((Field("a", "float"), Field("b", "float")))
    slow = Signature((*fast.inputs, Field("c", "string", required=False)))
    try:
        expected = Validator(slow, 3).inputs(rows).columns
    except InvalidInputError:
        with pytest.raises(InvalidInputError):
            Validator(fast, 3).inputs(rows)
    else:
        matrix = Validator(fast, 3).inputs(rows).matrix
        assert matrix is not None
        np.testing.assert_array_equal(matrix, np.stack([expected["a"], expected["b"]], axis=1))
