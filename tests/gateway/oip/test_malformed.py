"""Requests that break the protocol: 400 for a broken framing, 422 for fields that do not fit."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.errors import InvalidInputError
from services.gateway.errors import MalformedRequestError, status_of
from services.gateway.oip.decode import HEAD_LENGTH, read
from tests.gateway.oip.cases import MANY

RAW = bytes(16)


def tensor(**changes: Any) -> dict[str, Any]:
    found = {"name": "x", "datatype": "FP64", "shape": [2], "data": [1.0, 2.0], **changes}
    return {name: value for name, value in found.items() if value is not ...}


def raw_tensor(size: Any, **changes: Any) -> dict[str, Any]:
    return tensor(**{"data": ..., "parameters": {"binary_data_size": size}, **changes})


def framed(*tensors: Any, raw: bytes = RAW) -> tuple[bytes, str]:
    head = json.dumps({"inputs": tensors}).encode()
    return head + raw, str(len(head))


def refused(body: bytes, length: str | None = None) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        read(body, length)
    return caught.value


@pytest.mark.parametrize(
    ("body", "length", "where"),
    [
        (*framed(raw_tensor(24)), "inputs[0].parameters.binary_data_size"),
        (*framed(raw_tensor(8)), "inputs[0].parameters.binary_data_size"),
        (*framed(raw_tensor(-8)), "inputs[0].parameters.binary_data_size"),
        (*framed(raw_tensor(16.0)), "inputs[0].parameters.binary_data_size"),
        (*framed(raw_tensor(True)), "inputs[0].parameters.binary_data_size"),
        (*framed(raw_tensor("16")), "inputs[0].parameters.binary_data_size"),
        (*framed(raw_tensor(2**70)), "inputs[0].parameters.binary_data_size"),
        # Bytes that do not divide into values.
        (*framed(raw_tensor(15), raw=RAW[:15]), "inputs[0].parameters.binary_data_size"),
        # What is left over, and two tensors of which the second is cut off.
        (*framed(raw_tensor(16), raw=RAW + b"x"), "body"),
        (*framed(tensor()), "body"),
        (*framed(raw_tensor(16), raw_tensor(16, name="y")),
         "inputs[1].parameters.binary_data_size"),
        # Texts: a length that is cut off, an element that is, one too few, one too many.
        (*framed(raw_tensor(3, datatype="BYTES", shape=[1]), raw=bytes(3)),
         "inputs[0].parameters.binary_data_size"),
        (*framed(raw_tensor(6, datatype="BYTES", shape=[1]), raw=b"\x05\0\0\0ab"),
         "inputs[0].parameters.binary_data_size"),
        (*framed(raw_tensor(4, datatype="BYTES"), raw=bytes(4)),
         "inputs[0].parameters.binary_data_size"),
        (*framed(raw_tensor(16, datatype="BYTES")), "inputs[0].parameters.binary_data_size"),
        (*framed(raw_tensor(16, data=[1.0, 2.0])), "inputs[0].parameters.binary_data_size"),
        (b'{"inputs": []}', "99", HEAD_LENGTH),
        (b'{"inputs": []}', "0", HEAD_LENGTH),
        (b'{"inputs": []}', "-1", HEAD_LENGTH),
        (b'{"inputs": []}', "1e3", HEAD_LENGTH),
        (b'{"inputs": []}', "9" * 5000, HEAD_LENGTH),
        (b'{"inputs": []}', "", HEAD_LENGTH),
        (framed(raw_tensor(16))[0].replace(RAW, b""), None, HEAD_LENGTH),
        (b'{"inputs": [', None, "body"),
        (b'{"inputs": [NaN', None, "body"),
        (b'{"inputs": [], "inputs": []}', None, "body"),
        (b'{"inputs": [{"name": "x", "name": "y"}]}', None, "body"),
        (b'{"inputs": [{"name": "x", "name": NaN}]}', None, "body"),
        (b"[" * 3000 + b"NaN" + b"]" * 3000, None, "body"),
    ],
)  # fmt: skip
def test_broken_framing_is_400(body: bytes, length: str | None, where: str) -> None:
    error = refused(body, length)
    assert isinstance(error, MalformedRequestError) and status_of(error) == 400
    assert error.where == where and error.expected


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ([], "body"),
        ({}, "inputs"),
        ({"inputs": {}}, "inputs"),
        ({"inputs": []}, "inputs"),
        ({"inputs": [1]}, "inputs[0]"),
        ({"inputs": [tensor(name=...)]}, "inputs[0].name"),
        ({"inputs": [tensor(name="")]}, "inputs[0].name"),
        ({"inputs": [tensor(name=5)]}, "inputs[0].name"),
        ({"inputs": [tensor(datatype=...)]}, "inputs[0].datatype"),
        ({"inputs": [tensor(datatype="FP65")]}, "inputs[0].datatype"),
        ({"inputs": [tensor(datatype="fp64")]}, "inputs[0].datatype"),
        ({"inputs": [tensor(datatype=["FP64"])]}, "inputs[0].datatype"),
        ({"inputs": [tensor(shape=...)]}, "inputs[0].shape"),
        ({"inputs": [tensor(shape=2)]}, "inputs[0].shape"),
        ({"inputs": [tensor(shape=[1] * 33)]}, "inputs[0].shape"),
        ({"inputs": [tensor(shape=[-1])]}, "inputs[0].shape[0]"),
        ({"inputs": [tensor(shape=[1, 2.0])]}, "inputs[0].shape[1]"),
        ({"inputs": [tensor(shape=[True])]}, "inputs[0].shape[0]"),
        ({"inputs": [tensor(shape=[2**40, 2**40])]}, "inputs[0].shape[0]"),
        ({"inputs": [tensor(shape=[2**30, 2**30, 2**30])]}, "inputs[0].data"),
        ({"inputs": [tensor(shape=[0, 2**30, 2**30], data=[])]}, "inputs[0].shape"),
        ({"inputs": [tensor(data=...)]}, "inputs[0].data"),
        ({"inputs": [tensor(data=None)]}, "inputs[0].data"),
        ({"inputs": [tensor(data={})]}, "inputs[0].data"),
        ({"inputs": [tensor(data=[1.0])]}, "inputs[0].data"),
        ({"inputs": [tensor(data=[1.0, 2.0, 3.0])]}, "inputs[0].data"),
        ({"inputs": [tensor(data=[[1.0, 2.0]])]}, "inputs[0].data"),
        ({"inputs": [tensor(shape=[2, 2], data=[[1.0, 2.0], [3.0]])]}, "inputs[0].data"),
        ({"inputs": [tensor(shape=[2, 3], data=[[1, 2], [3, 4], [5, 6]])]}, "inputs[0].data"),
        ({"inputs": [tensor(shape=[2, 1, 1], data=[[1], [2]])]}, "inputs[0].data"),
        ({"inputs": [tensor(data=[1.0, "2"])]}, "inputs[0].data[1]"),
        ({"inputs": [tensor(data=[1.0, True])]}, "inputs[0].data[1]"),
        ({"inputs": [tensor(data=[1.0, [2.0]])]}, "inputs[0].data[1]"),
        ({"inputs": [tensor(shape=[1, 2], data=[[1.0, "2"]])]}, "inputs[0].data[0][1]"),
        ({"inputs": [tensor(datatype="INT8", data=[1, 128])]}, "inputs[0].data[1]"),
        ({"inputs": [tensor(datatype="UINT64", data=[1, -1])]}, "inputs[0].data[1]"),
        ({"inputs": [tensor(datatype="UINT64", data=[1, 2**64])]}, "inputs[0].data[1]"),
        ({"inputs": [tensor(datatype="INT32", data=[1, 1.5])]}, "inputs[0].data[1]"),
        ({"inputs": [tensor(datatype="FP32", data=[1, 1e39])]}, "inputs[0].data[1]"),
        ({"inputs": [tensor(datatype="FP16", data=[1, 70000])]}, "inputs[0].data[1]"),
        ({"inputs": [tensor(datatype="BOOL", data=[True, 1])]}, "inputs[0].data[1]"),
        ({"inputs": [tensor(datatype="BYTES", data=["a", 1])]}, "inputs[0].data[1]"),
        ({"inputs": [tensor(), tensor()]}, "inputs[1].name"),
        ({"inputs": [tensor(parameters=[])]}, "inputs[0].parameters"),
        ({"inputs": [tensor(parameters={"shared_memory_region": "r"})]},
         "inputs[0].parameters.shared_memory_region"),
        ({"inputs": [tensor()], "id": 5}, "id"),
        ({"inputs": [tensor()], "parameters": 5}, "parameters"),
        ({"inputs": [tensor()], "parameters": {"binary_data_output": 1}},
         "parameters.binary_data_output"),
        ({"inputs": [tensor()], "outputs": {}}, "outputs"),
        ({"inputs": [tensor()], "outputs": [1]}, "outputs[0]"),
        ({"inputs": [tensor()], "outputs": [{}]}, "outputs[0].name"),
        ({"inputs": [tensor()], "outputs": [{"name": "y", "parameters": {"binary_data": 1}}]},
         "outputs[0].parameters.binary_data"),
        ({"inputs": [tensor()], "outputs": [{"name": "y", "parameters": {"classification": 3}}]},
         "outputs[0].parameters.classification"),
    ],
)  # fmt: skip
def test_fields_that_do_not_fit_are_422(asked: Any, where: str) -> None:
    error = refused(json.dumps(asked).encode())
    assert status_of(error) == 422
    assert error.where == where and error.expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
    | st.sampled_from(["FP64", "BYTES", "x", 2**63, 2**31]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["name", "datatype", "shape", "data", "parameters", "binary_data_size"]),
        inner, max_size=6,
    ),
    max_leaves=10,
)  # fmt: skip


@MANY
@given(
    st.fixed_dictionaries(
        {"inputs": st.lists(JSON, max_size=2) | JSON},
        optional={"outputs": JSON, "parameters": JSON, "id": JSON},
    )
    | JSON,
    st.none() | st.integers(-2, 60) | st.text(max_size=3),
    st.binary(max_size=30),
)
def test_nothing_but_invalid_input_ever_comes_of_a_body(
    asked: Any, length: int | str | None, raw: bytes
) -> None:
    head = json.dumps(asked).encode()
    header = str(len(head) + length) if isinstance(length, int) else length
    # Anything else that is raised fails the test.
    with suppress(InvalidInputError):
        read(head + raw, header)


@MANY
@given(st.integers(0, 60), st.integers(0, 60))
def test_only_the_right_lengths_are_taken(size: int, count: int) -> None:
    body, length = framed(raw_tensor(size, shape=[count]), raw=bytes(40))
    try:
        found = read(body, length).inputs[0].array
    except MalformedRequestError:
        assert (size, count) != (40, 5)
    else:
        assert (size, count) == (40, 5) and found.shape == (5,)
