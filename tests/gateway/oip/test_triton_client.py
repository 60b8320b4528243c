"""Triton's own client against a gateway: JSON and raw bytes, packed bodies, errors it can read."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from tests.support.local import LocalServer
from tests.support.pictures import blobs_as

ROWS = np.random.default_rng(3).normal(size=(5, 20))


@pytest.fixture(scope="module")
def client(server: LocalServer) -> Iterator[Any]:
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}", concurrency=4) as client:
        yield client


@pytest.fixture(scope="module")
def expected(server: LocalServer) -> Any:
    return server.client.post("/models/numbers/predict", json={"inputs": ROWS.tolist()}).json()


def tensor(name: str, array: NDArray[Any], *, binary: bool = True) -> Any:
    found = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    found.set_data_from_numpy(array, binary_data=binary)
    return found


def wanted(*names: str, binary: bool) -> list[Any]:
    return [triton.InferRequestedOutput(name, binary_data=binary) for name in names]


def texts(*values: str | bytes) -> NDArray[Any]:
    return np.array([v.encode() if isinstance(v, str) else v for v in values], object)


def test_it_finds_its_way(client: Any) -> None:
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("numbers") and client.is_model_ready("numbers", "1")
    assert not client.is_model_ready("nobody") and not client.is_model_ready("numbers", "2")
    assert client.get_server_metadata()["name"] == "slipway"
    metadata = client.get_model_metadata("numbers", "1")
    assert metadata["inputs"] == [{"name": "inputs", "datatype": "FP64", "shape": [-1, 20]}]


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
@pytest.mark.parametrize("version", ["", "1"])
def test_numbers(
    client: Any, expected: Any, binary_in: bool, binary_out: bool | None, version: str
) -> None:
    outputs = None
    if binary_out is not None:
        outputs = wanted("probabilities", "predictions", binary=binary_out)
    result = client.infer(
        "numbers", [tensor("inputs", ROWS, binary=binary_in)], version, outputs, request_id="mine"
    )
    assert result.as_numpy("predictions").tolist() == expected["predictions"]
    assert result.as_numpy("probabilities").tolist() == expected["probabilities"]
    assert result.get_response()["id"] == "mine"
    assert result.as_numpy("nothing") is None


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_packed_bodies(client: Any, expected: Any, coding: str, binary: bool) -> None:
    many = np.repeat(ROWS, 60, axis=0)
    result = client.infer(
        "numbers", [tensor("inputs", many, binary=binary)],
        outputs=wanted("predictions", "probabilities", binary=binary),
        request_compression_algorithm=coding, response_compression_algorithm=coding,
    )  # fmt: skip
    assert (
        result.as_numpy("predictions").tolist() == np.repeat(expected["predictions"], 60).tolist()
    )
    assert result.as_numpy("probabilities").shape == (300, 2)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int8, np.uint64, np.int64])
def test_other_datatypes_in_a_column_each(client: Any, dtype: Any) -> None:
    columns = [tensor(f"feature_{n}", np.array([n, 1], dtype)) for n in range(1, 21)]
    found = client.infer("numbers", columns).as_numpy("probabilities")
    matrix = np.array([range(1, 21), [1] * 20], np.float64)
    assert found.tolist() == client.infer(
        "numbers", [tensor("x", matrix)]
    ).as_numpy("probabilities").tolist()  # fmt: skip


@pytest.mark.parametrize("binary", [True, False])
def test_a_mixed_table_with_texts(client: Any, binary: bool) -> None:
    inputs = [
        tensor("age", np.array([20.0, 50.0]), binary=binary),
        # How NumPy says that there is no value.
        tensor("income", np.array([np.nan, 3.0]), binary=binary),
        tensor("city", texts("Bern", "Zürich"), binary=binary),
        tensor("visits", np.array([1, 2], np.int32), binary=binary),
    ]
    result = client.infer("customers", inputs, outputs=wanted("predictions", binary=binary))
    found = [v.decode() if isinstance(v, bytes) else v for v in result.as_numpy("predictions")]
    assert found == ["young", "old"]


def test_bytes_that_are_no_text(client: Any) -> None:
    inputs = [
        tensor("thing", texts('{"size": 1, "name": "a"}')),
        tensor("raw", texts(b"\xff\xfe\0")),
        tensor("list", np.array([[1.0, 2.0]])),
    ]
    result = client.infer("things", inputs)
    assert result.as_numpy("raw").tolist() == [b"fffe00"]
    assert result.as_numpy("total").tolist() == [3.0]


def test_pictures_as_they_are(client: Any) -> None:
    files = np.array([blobs_as("PNG"), blobs_as("JPEG")], object)
    assert client.infer("blobs", [tensor("image", files)]).as_numpy("num_instances").tolist() == [
        2, 2,
    ]  # fmt: skip
    found = client.infer("colours", [tensor("image", files)])
    assert found.as_numpy("probabilities").shape == (2, 3)


def test_extremes(client: Any) -> None:
    extremes = np.array([2**64 - 1, 0, 2**63], np.uint64)
    for binary in (True, False):
        inputs = [tensor("x", extremes, binary=binary)]
        found = client.infer("wide", inputs, outputs=wanted("predictions", binary=binary))
        assert found.as_numpy("predictions").tolist() == extremes.tolist()


def test_many_at_once(client: Any, expected: Any) -> None:
    pending = [
        client.async_infer("numbers", [tensor("inputs", ROWS[n % 5 : n % 5 + 1])])
        for n in range(20)
    ]
    for number, one in enumerate(pending):
        predictions = one.get_result().as_numpy("predictions").tolist()
        assert predictions == [expected["predictions"][number % 5]]


@pytest.mark.parametrize(
    ("model", "version", "array", "text"),
    [
        ("nobody", "", ROWS, "There is no model of that name. (where: model"),
        ("numbers", "7", ROWS, "There is no such version of the model."),
        ("numbers", "", ROWS[:, :19], "received: FP64 [5, 19]"),
        ("numbers", "", np.array([["a"] * 20], object), "inputs[0].data[0][0] is text"),
        ("numbers", "", np.full((1, 20), np.nan), "inputs[0].data[0][0] is not finite"),
    ],
)
def test_errors_show_our_text(
    client: Any, model: str, version: str, array: NDArray[Any], text: str
) -> None:
    for binary in (True, False):
        with pytest.raises(InferenceServerException) as caught:
            client.infer(model, [tensor("inputs", array, binary=binary)], version)
        assert text in caught.value.message()
        assert "request id: " in caught.value.message()
        assert caught.value.status() in ("404", "422")


def test_an_unknown_output_and_a_late_answer(client: Any) -> None:
    inputs = [tensor("inputs", ROWS)]
    with pytest.raises(InferenceServerException, match="any of predictions, probabilities"):
        client.infer("numbers", inputs, outputs=wanted("scores", binary=True))
    with pytest.raises(InferenceServerException, match=r"not ready within 0\.002 seconds"):
        client.infer("sleepy", [tensor("x", np.zeros(1))], timeout=2000)
    assert client.infer("numbers", inputs, timeout=10_000_000, priority=2, sequence_id=5)
    with pytest.raises(InferenceServerException, match="Classification is not offered"):
        client.infer(
            "numbers", inputs, outputs=[triton.InferRequestedOutput("predictions", class_count=2)]
        )
