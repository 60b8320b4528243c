"""What a queue hands on comes out as it went in."""

import json
import math
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core import packing

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def _through(value: Any) -> Any:
    about, data = packing.pack(value)
    # Both go through rows of a database, the first as JSON.
    return packing.unpack(json.loads(json.dumps(about)), data)


@given(_VALUES)
def test_every_value_comes_back(value: Any) -> None:
    assert repr(_through(value)) == repr(value)


@given(_VALUES)
def test_plain_means_json_for_everybody(value: Any) -> None:
    about, data = packing.pack(value)
    assert packing.is_json(about)
    if packing.is_plain(about):
        assert repr(orjson.loads(data)) == repr(value)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype="f4").reshape(2, 3) / 7,
        np.array([[1.5, math.nan], [math.inf, -0.0]]),
        np.array([True, False]),
        np.array([2**63], dtype="u8"),
        np.array(["a", "bcd"]),
        np.array(["2026-11-21", "NaT"], dtype="M8[D]"),
        np.empty((0, 3), dtype="f2"),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(10)[::2],
        np.array(3.5),
    ],
)
def test_arrays_keep_type_and_shape(array: Any) -> None:
    found = _through({"inputs": array})["inputs"]
    assert isinstance(found, np.ndarray)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(found, array)
    assert found.flags.writeable


def test_arrays_of_objects_too() -> None:
    array = np.empty((2, 2), dtype=object)
    array[:] = [["text", b"\xff\x00"], [{"a": [1, None]}, [1, 2]]]
    found = _through(array)
    assert found.shape == (2, 2)
    assert found.tolist() == array.tolist()


def test_a_number_of_numpys_stays_one() -> None:
    found = _through({"x": np.float32(0.1)})["x"]
    assert isinstance(found, np.float32)
    assert found == np.float32(0.1)


def test_nobody_can_forge_a_mark() -> None:
    value = {"~": [["AAAA"]], "~~": {"~": ["AAAA"]}, "bytes": b"x"}
    assert _through(value) == value
    plain = {"~": ["AAAA"]}
    assert _through(plain) == plain


def test_null_is_no_reason_not_to_be_plain() -> None:
    assert packing.is_plain(packing.pack({"a": None})[0])
    assert not packing.is_plain(packing.pack({"a": math.nan})[0])


def test_equal_values_are_equal_bytes() -> None:
    value = {"inputs": np.arange(5), "params": {"a": None}}
    assert packing.pack(value) == packing.pack(dict(value))


def test_what_cannot_be_written_is_refused() -> None:
    with pytest.raises(TypeError):
        packing.pack({"a": object()})
