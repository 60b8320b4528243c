"""`/v2` as any client sees it: what a model takes and gives, how tensors become its rows."""

import base64
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from services import __version__
from services.gateway.error_shapes import Told
from tests.support.blobs import BlobFamily
from tests.support.local import LocalServer
from tests.support.pictures import blobs_as

Infer = Callable[..., Any]
ROW = [float(number) for number in range(20)]
CUSTOMERS = [
    ("age", "FP64", [2], [20.0, 50.0]),
    ("income", "FP32", [2, 1], [[None], [2.5]]),
    ("city", "BYTES", [2], ["Bern", "Ulm"]),
    ("visits", "INT32", [2], [1, 2]),
]


def outputs(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return {output["name"]: output for output in answer.json()["outputs"]}


def told(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    return str(answer.json()["error"])


def test_the_server_and_its_health(server: LocalServer) -> None:
    for path in ("/v2", "/v2/"):
        found = server.client.get(path).json()
        assert found["name"] == "slipway" and found["version"] == __version__
        assert "binary_tensor_data" in found["extensions"]
    for path in ("/v2/health/live", "/v2/health/ready"):
        answer = server.client.get(path)
        assert (answer.status_code, answer.json()) == (200, {"live": True, "ready": True})


NUMBERS = {
    "name": "numbers",
    "versions": ["1"],
    "platform": "slipway_numbers",
    "inputs": [{"name": "inputs", "datatype": "FP64", "shape": [-1, 20]}],
    "outputs": [
        {"name": "predictions", "datatype": "INT64", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP64", "shape": [-1, 2]},
    ],
}


def test_metadata_of_a_table_of_numbers(server: LocalServer) -> None:
    for path in ("/v2/models/numbers", "/v2/models/numbers/versions/1"):
        assert server.client.get(path).json() == NUMBERS


@pytest.mark.parametrize(
    ("model", "inputs", "results"),
    [
        ("customers", [("age", "FP64", [-1]), ("income", "FP64", [-1]), ("city", "BYTES", [-1]),
                       ("visits", "INT64", [-1])], None),
        ("plane", [("inputs", "FP32", [-1, 2, 3])], [("predictions", "FP64", [-1])]),
        ("pair", [("a", "FP32", [-1, 2]), ("b", "INT64", [-1])],
         [("sum", "FP64", [-1]), ("b", "INT64", [-1])]),
        ("things", [("thing", "BYTES", [-1]), ("raw", "BYTES", [-1]), ("list", "FP64", [-1, -1])],
         [("size", "INT64", [-1]), ("name", "BYTES", [-1]), ("raw", "BYTES", [-1]),
          ("total", "FP64", [-1])]),
        ("anything", [], [("predictions", "FP64", [-1, 1])]),
        ("colours", [("image", "BYTES", [-1])], []),
    ],
)  # fmt: skip
def test_metadata_of_other_models(
    server: LocalServer, model: str, inputs: list[Any], results: list[Any] | None
) -> None:
    found = server.client.get(f"/v2/models/{model}").json()
    assert [(t["name"], t["datatype"], t["shape"]) for t in found["inputs"]] == inputs
    if results is not None:
        assert [(t["name"], t["datatype"], t["shape"]) for t in found["outputs"]] == results


def test_ready_or_not(server: LocalServer) -> None:
    for path in ("numbers", "numbers/versions/1"):
        answer = server.client.get(f"/v2/models/{path}/ready")
        assert answer.json() == {"name": "numbers", "ready": True}
    assert "no model" in told(server.client.get("/v2/models/nobody/ready"), 404)
    assert "no model" in told(server.client.get("/v2/models/nobody"), 404)
    assert "no such version" in told(server.client.get("/v2/models/numbers/versions/8"), 404)
    answer = server.client.get("/v2/models/numbers/versions/8/ready")
    assert "no such version" in told(answer, 404)


@pytest.mark.parametrize("name", ["inputs", "input-0", "x"])
@pytest.mark.parametrize("datatype", ["FP64", "FP32", "FP16", "INT64", "UINT8"])
def test_a_matrix_by_any_name_and_datatype(infer: Infer, name: str, datatype: str) -> None:
    data = [int(value) for value in ROW]
    expected = outputs(infer("numbers", ("x", "FP64", [1, 20], ROW)))
    for given in (data, [data]):
        answer = infer("numbers", (name, datatype, [1, 20], given), id="mine")
        assert outputs(answer) == expected
        assert answer.json()["id"] == "mine" and answer.headers["X-Prediction-ID"]
    assert expected["probabilities"]["shape"] == [1, 2]
    assert json.loads(expected["probabilities"]["parameters"]["labels"]) == [0, 1]


def test_the_answer_is_that_of_the_other_door(server: LocalServer, infer: Infer) -> None:
    rows = np.random.default_rng(1).normal(size=(30, 20)).tolist()
    own = server.client.post("/models/numbers/predict", json={"inputs": rows}).json()
    answer = infer("numbers", ("x", "FP64", [30, 20], rows))
    found = outputs(answer)
    assert answer.json()["model_version"] == "1"
    assert answer.json()["id"] == answer.headers["X-Prediction-ID"]
    assert found["predictions"]["data"] == own["predictions"]
    assert found["probabilities"]["data"] == [p for row in own["probabilities"] for p in row]


def test_a_tensor_for_each_column(infer: Infer) -> None:
    matrix = np.random.default_rng(1).normal(size=(2, 20))
    columns = [(f"feature_{n}", "FP64", [2], matrix[:, n - 1].tolist()) for n in range(20, 0, -1)]
    expected = outputs(infer("numbers", ("x", "FP64", [2, 20], matrix.tolist())))
    assert outputs(infer("numbers", *columns)) == expected
    assert "inputs.feature_20 is missing" in told(infer("numbers", *columns[1:]), 422)
    text = told(infer("numbers", *columns[1:], ("feature_x", "FP64", [2], [1, 2])), 422)
    assert "inputs[19].name is unknown" in text


def test_a_mixed_table(infer: Infer) -> None:
    found = outputs(infer("customers", *CUSTOMERS))
    assert found["predictions"]["data"] == ["young", "old"]
    assert found["predictions"]["datatype"] == "BYTES"
    assert json.loads(found["probabilities"]["parameters"]["labels"]) == ["old", "young"]
    # An optional column may be left out; a number must be whole where a whole one is wanted.
    assert outputs(infer("customers", CUSTOMERS[0], *CUSTOMERS[2:]))
    text = told(infer("customers", *CUSTOMERS[:3], ("visits", "FP32", [2], [1.0, 2.5])), 422)
    assert "inputs[3].data[1] is no whole number" in text


def test_named_tensors_and_answers_by_name(infer: Infer) -> None:
    a, b = ("a", "INT8", [2, 2], [[1, 2], [3, 4]]), ("b", "INT64", [2], [10, 2**62])
    found = outputs(infer("pair", b, a))
    assert found["b"]["data"] == [10, 2**62] and found["sum"]["shape"] == [2]
    assert list(outputs(infer("pair", a, b, outputs=[{"name": "sum"}]))) == ["sum"]
    text = told(infer("pair", a, b, outputs=[{"name": "sun"}]), 422)
    assert "outputs[0].name" in text and "any of sum, b" in text


def test_extremes_of_64_bits_come_back(infer: Infer) -> None:
    data = [2**64 - 1, 0]
    found = outputs(infer("wide", ("x", "UINT64", [2], data)))["predictions"]
    assert (found["datatype"], found["data"]) == ("UINT64", data)


def test_structures_bytes_and_lists(infer: Infer) -> None:
    thing = json.dumps({"size": 2**53 + 1, "name": "ß"})
    found = outputs(infer(
        "things", ("thing", "BYTES", [1], [thing]),
        ("raw", "BYTES", [1], [base64.b64encode(b"\xff\0").decode()]),
        ("list", "FP32", [1, 3], [1, 2, 3]),
    ))  # fmt: skip
    assert {name: output["data"] for name, output in found.items()} == {
        "size": [2**53 + 1], "name": ["ß"], "raw": ["ff00"], "total": [6.0],
    }  # fmt: skip


def test_a_model_without_signature(infer: Infer) -> None:
    found = outputs(infer("anything", ("whatever", "FP64", [2, 2], [1, 2, 3, 4])))
    assert found["predictions"]["shape"] == [2, 2] and found["predictions"]["data"] == [2, 4, 6, 8]


def test_a_family_that_takes_no_arrays(infer: Infer) -> None:
    # Also under the name of one of its columns.
    assert outputs(infer("adder", ("x", "INT8", [2, 2], [1, 2, 3, 4])))["predictions"]["data"] == [
        3.0, 7.0,
    ]  # fmt: skip


def test_what_is_irregular_is_json_in_text(infer: Infer) -> None:
    found = outputs(infer("odd", ("x", "FP64", [4], [1, 2, 3, 4])))["predictions"]
    assert (found["datatype"], found["shape"]) == ("BYTES", [4])
    assert [json.loads(text) for text in found["data"]] == [[1], [2, 3], "text", None]


def test_parameters_are_the_models_or_the_requests(infer: Infer) -> None:
    tensor = ("x", "FP64", [1], [2.0])
    assert outputs(infer("scaled", tensor, parameters={"factor": 3}))["predictions"]["data"] == [6]
    ours = {"priority": 1, "sequence_id": 7, "timeout": 5_000_000, "triton_x": 1, "headers": "a"}
    assert outputs(infer("scaled", tensor, parameters=ours))["predictions"]["data"] == [2]
    text = told(infer("scaled", tensor, parameters={"factor": "x"}), 422)
    assert "parameters.factor" in text and "expected: a number" in text
    assert "parameters.other is unknown" in told(
        infer("scaled", tensor, parameters={"other": 1}), 422
    )
    assert "parameters.timeout" in told(infer("scaled", tensor, parameters={"timeout": "x"}), 422)
    late = infer("sleepy", tensor, parameters={"timeout": 2000})
    assert "within 0.002 seconds" in told(late, 504)


@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_pictures(infer: Infer, shape: list[int]) -> None:
    pictures = [base64.b64encode(blobs_as(kind)).decode() for kind in ("PNG", "JPEG")]
    found = outputs(infer("colours", ("image", "BYTES", shape, pictures)))
    assert set(found) == {"class", "confidence", "probabilities"}
    assert found["class"]["shape"] == [2] and found["class"]["datatype"] == "BYTES"
    assert found["probabilities"]["shape"] == [2, 3]
    labels = json.loads(found["probabilities"]["parameters"]["labels"])
    assert labels == ["blue", "green", "red"]


def test_objects_in_pictures(infer: Infer) -> None:
    picture = base64.b64encode(blobs_as("PNG")).decode()
    found = outputs(infer("blobs", ("anything", "BYTES", [1], [picture])))
    assert found["num_instances"]["data"] == [2]
    instances = json.loads(found["instances"]["data"][0])
    assert len(instances) == 2 and instances[0]["mask"]["size"] == [120, 160]
    assert (found["image_size"]["shape"], found["image_size"]["data"]) == ([1, 2], [120, 160])


@pytest.mark.parametrize(
    ("model", "tensor", "where", "received"),
    [
        ("numbers", ("x", "FP64", [20], ROW), "inputs[0].data", "FP64 [20]"),
        ("numbers", ("x", "FP32", [1, 19], ROW[1:]), "inputs[0].data", "FP32 [1, 19]"),
        ("numbers", ("x", "BYTES", [1, 20], ["1"] * 20), "inputs[0].data[0][0]", "text"),
        ("numbers", ("x", "BOOL", [1, 20], [True] * 20), "inputs[0].data[0][0]", "true or false"),
        ("numbers", ("x", "FP64", [1, 20], [*ROW[1:], None]), "inputs[0].data[0][19]", "number"),
        ("numbers", ("x", "FP64", [0, 20], []), "inputs[0].data", "0 rows"),
        ("numbers", ("x", "FP64", [], 5.0), "inputs[0].data", "FP64 []"),
        ("plane", ("x", "FP32", [1, 3, 2], [1] * 6), "inputs[0].data", "FP32 [1, 3, 2]"),
        ("colours", ("x", "FP64", [1, 20], ROW), "inputs[0]", "FP64 [1, 20]"),
        ("colours", ("x", "BYTES", [1], ["%%"]), "inputs[0].data[0]", "text of 2 characters"),
        ("things", ("thing", "BYTES", [1], ["{"]), "inputs[0].data[0]", "text"),
    ],
)
def test_mistakes_are_told_in_the_callers_words(
    infer: Infer, model: str, tensor: tuple[Any, ...], where: str, received: str
) -> None:
    text = told(infer(model, tensor), 422)
    assert f"where: {where};" in text, text
    assert "expected: " in text and received in text.partition("received: ")[2]


def test_too_many_rows(infer: Infer) -> None:
    text = told(infer("scaled", ("x", "FP64", [2001], [0.0] * 2001)), 413)
    assert "at most 2000 rows" in text


def test_broken_requests(server: LocalServer, infer: Infer) -> None:
    post = server.client.post
    path = "/v2/models/numbers/infer"
    assert "not valid JSON" in told(post(path, content=b"{"), 400)
    header = {"Inference-Header-Content-Length": "5"}
    assert "Inference-Header" in told(post(path, content=b"{}", headers=header), 400)
    assert "coding" in told(post(path, content=b"{}", headers={"Content-Encoding": "br"}), 415)
    assert "no model" in told(infer("nobody", ("x", "FP64", [1], [1])), 404)
    tensor = {"name": "x", "datatype": "FP64", "shape": [1, 20], "data": ROW}
    answer = post("/v2/models/numbers/versions/9/infer", json={"inputs": [tensor]})
    assert "no such version" in told(answer, 404)
    assert told(infer("adder", ("rows", "FP64", [1, 1], [13.0])), 500)
    assert told(infer("adder", ("rows", "FP64", [1, 1], [14.0])), 500)


def test_large_bodies_and_packed_answers(server: LocalServer) -> None:
    rows = np.random.default_rng(2).normal(size=(1500, 20))
    tensor = {"name": "x", "datatype": "FP64", "shape": [1500, 20], "data": rows.tolist()}
    answers = []
    for coding in ("identity", "gzip", "deflate", "gzip;q=0, deflate;q=0.5"):
        answer = server.client.post(
            "/v2/models/numbers/infer", json={"inputs": [tensor]},
            headers={"Accept-Encoding": coding},
        )  # fmt: skip
        expected = coding.split(";q=0, ")[-1].split(";")[0]
        assert answer.headers.get("Content-Encoding", "identity") == expected
        answers.append(outputs(answer))
    assert all(answer == answers[0] for answer in answers)


def test_a_gateway_that_starts_says_so(make_server: Any) -> None:
    server = make_server(BlobFamily(), ready=False, required_models="blobs,other")
    answer = server.client.get("/v2/health/ready")
    assert answer.status_code == 503 and answer.headers["Retry-After"]
    assert answer.json()["ready"] is False and answer.json()["live"] is True
    assert server.client.get("/v2/health/live").json() == {"live": True, "ready": False}


def test_the_errors_text_names_everything() -> None:
    """What `told` above relies on."""
    assert Told(422, "c", "m", "w", "e", "r").sentence.startswith("m (where: w; expected: e;")
