"""Every datatype and shape survives the way in and out, as JSON and as raw bytes.

Requests are written, and answers read, by Triton's own client.
"""

import json
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from tritonclient.utils import np_to_triton_dtype

from services.gateway.oip import decode, encode
from services.gateway.oip.datatypes import BYTES, DTYPES
from services.gateway.oip.outputs import Answer
from services.gateway.oip.tensors import from_raw
from services.gateway.rows import Rows
from tests.gateway.oip.cases import MANY

NUMBERS = [name for name in DTYPES if name != BYTES]
SHAPES = npst.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4)
# Texts that JSON carries; any bytes do raw.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
TEXT_ARRAYS = npst.arrays(np.dtype(object), SHAPES, elements=TEXTS)
BYTES_ARRAYS = npst.arrays(np.dtype(object), SHAPES, elements=st.binary(max_size=6))


def numbers(shapes: Any = SHAPES) -> Any:
    """Arrays of any datatype of numbers, with NaN, infinities and each type's extremes."""
    return st.sampled_from(NUMBERS).flatmap(lambda name: npst.arrays(DTYPES[name], shapes))


def asked_by_triton(
    array: NDArray[Any], *, binary: bool
) -> tuple[NDArray[Any], decode.Asked, dict[str, Any]]:
    datatype = np_to_triton_dtype(array.dtype)
    tensor = triton.InferInput("x", list(array.shape), datatype)
    tensor.set_data_from_numpy(array, binary_data=binary)
    body, length = triton.InferenceServerClient.generate_request_body([tensor])
    asked = decode.read(body, None if length is None else str(length))
    assert [one.name for one in asked.inputs] == ["x"]
    assert asked.inputs[0].datatype == datatype
    return asked.inputs[0].array, asked, json.loads(body[:length])


@MANY
@given(numbers())
@example(np.array([2**64 - 1, 0], np.uint64))
@example(np.array([-(2**63), 2**63 - 1], np.int64))
@example(np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324]))
def test_numbers_come_in_exactly(array: NDArray[Any]) -> None:
    for binary in (True, False):
        found, asked, _ = asked_by_triton(array, binary=binary)
        assert found.dtype == array.dtype and found.shape == array.shape
        assert asked.binary
        assert found.flags.writeable or not found.size
        # Bits tell -0.0 from 0.0; which NaN it is only raw bytes can say.
        same = np.array_equal(found, array, equal_nan=array.dtype.kind == "f")
        assert same if not binary else found.tobytes() == array.tobytes()
        if array.dtype.kind == "f":
            assert np.array_equal(np.signbit(found), np.signbit(array)) or np.isnan(array).any()


@MANY
@given(numbers(npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)))
def test_nested_and_flat_lists_are_the_same(array: NDArray[Any]) -> None:
    datatype = np_to_triton_dtype(array.dtype)
    tensor = {"name": "x", "datatype": datatype, "shape": list(array.shape)}
    for data in (array.tolist(), array.reshape(-1).tolist()):
        body = json.dumps({"inputs": [{**tensor, "data": data}]}).encode()
        found = decode.read(body, None).inputs[0].array
        assert found.dtype == array.dtype and found.shape == array.shape
        assert np.array_equal(found, array, equal_nan=array.dtype.kind == "f")


@MANY
@given(TEXT_ARRAYS)
@example(np.array(["NaN", "Infinity", ""], object))
def test_texts_come_in_exactly(array: NDArray[Any]) -> None:
    found, _, _ = asked_by_triton(array, binary=False)
    assert found.shape == array.shape and found.tolist() == array.tolist()
    raw, _, _ = asked_by_triton(array, binary=True)
    assert raw.shape == array.shape
    assert [one.decode() for one in raw.reshape(-1)] == array.reshape(-1).tolist()


@MANY
@given(BYTES_ARRAYS)
@example(np.array([b"\xff\0\xd8", b""], object))
def test_bytes_come_in_exactly(array: NDArray[Any]) -> None:
    found, _, head = asked_by_triton(array, binary=True)
    assert found.shape == array.shape and found.tolist() == array.tolist()
    assert head["inputs"][0]["parameters"]["binary_data_size"] == sum(
        4 + len(one) for one in array.reshape(-1)
    )


@MANY
@given(numbers() | TEXT_ARRAYS | BYTES_ARRAYS)
def test_raw_bytes_go_out_exactly(array: NDArray[Any]) -> None:
    datatype = np_to_triton_dtype(array.dtype)
    raw = encode.raw(Answer("y", datatype, list(array.shape), array.reshape(-1).tolist()))
    found = from_raw(raw, datatype, list(array.shape), array.size, "y")
    if datatype == BYTES:
        expected = [v if isinstance(v, bytes) else v.encode() for v in array.reshape(-1)]
        assert found.shape == array.shape and found.reshape(-1).tolist() == expected
    elif array.dtype.kind == "f":
        assert np.array_equal(found, array, equal_nan=True)
    else:
        assert found.tobytes() == array.tobytes()


ANSWERS = (
    npst.arrays(np.dtype(np.float64), npst.array_shapes(max_dims=3, max_side=4))
    | npst.arrays(np.dtype(np.int64), npst.array_shapes(max_dims=3, max_side=4))
    | npst.arrays(np.dtype(bool), npst.array_shapes(max_dims=3, max_side=4))
    | npst.arrays(np.dtype(object), npst.array_shapes(max_dims=2, max_side=4), elements=TEXTS)
)


@MANY
@given(ANSWERS, st.booleans())
@example(np.array([np.nan, np.inf, 1.5]), False)
@example(np.array([np.nan, np.inf, 1.5]), True)
@example(np.array([2**64 - 1], np.uint64), False)
@example(np.array([2**64 - 1], np.uint64), True)
def test_triton_reads_what_goes_out(array: NDArray[Any], binary: bool) -> None:
    rows = Rows("m", "3", "id", array.tolist())
    body, length = encode.answer(rows, decode.Asked([], binary=binary))
    result = triton.InferResult.from_response_body(body, header_length=length)
    found = result.as_numpy("predictions")
    response = result.get_response()
    assert (response["model_name"], response["model_version"], response["id"]) == ("m", "3", "id")
    assert found.shape == array.shape
    if array.dtype == object:
        texts = [v.decode() if isinstance(v, bytes) else v for v in found.reshape(-1)]
        assert texts == array.reshape(-1).tolist()
        return
    assert found.dtype == array.dtype
    if not binary and array.dtype.kind == "f":
        # JSON has no word for infinity.
        array = np.where(np.isinf(array), np.nan, array)
    assert np.array_equal(found, array, equal_nan=array.dtype.kind == "f")


def test_an_answer_in_json_is_strict_json() -> None:
    rows = Rows("m", "3", "id", [np.nan, np.inf, None, 1])
    body, length = encode.answer(rows, decode.Asked([]))

    def refuse(constant: str) -> None:
        pytest.fail(constant)

    outputs = json.loads(body, parse_constant=refuse)["outputs"]
    assert length is None and outputs[0]["data"] == [None, None, None, 1]
