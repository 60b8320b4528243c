"""KServe's V1 protocol: one prediction for each instance, and errors as its clients read them."""

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway.conftest import MakeServer
from tests.support.local import LocalServer
from tests.support.pictures import blobs_as
from tests.support.small_models import trained

TEXTS = {"instances": ["a", "b"]}
SHOWN = {"predictions": [[["text", "str a"]], [["text", "str b"]]]}


@pytest.fixture
def client(echo_server: LocalServer) -> httpx.Client:
    return echo_server.client


def test_the_models(client: httpx.Client) -> None:
    names = client.get("/v1/models").json()["models"]
    assert names == sorted(names)
    assert {"text", "mixed", "colours"} <= set(names)
    assert client.get("/v1/models/text").json() == {"name": "text", "ready": True}
    assert client.get("/v1/models/text/versions/1").json() == {"name": "text", "ready": True}
    for path, status in (("nobody", 404), ("text:predict", 405), ("text/versions/9", 404),
                         ("text/versions/1:predict", 405), ("te:xt", 404)):  # fmt: skip
        answer = client.get(f"/v1/models/{path}")
        assert answer.status_code == status
        assert set(answer.json()) == {"error"}


@pytest.mark.parametrize("path", ["text:predict", "text/versions/1:predict"])
def test_one_prediction_for_each_instance(client: httpx.Client, path: str) -> None:
    answer = client.post(f"/v1/models/{path}", json=TEXTS)
    assert answer.json() == SHOWN
    assert answer.headers["X-Prediction-ID"]


def test_bodies_without_a_label(client: httpx.Client) -> None:
    """The protocol's own curls send JSON and say nothing of it."""
    for headers in ({}, {"Content-Type": "application/x-www-form-urlencoded"}):
        answer = client.post(
            "/v1/models/text:predict", content=json.dumps(TEXTS).encode(), headers=headers
        )
        assert answer.json() == SHOWN


@pytest.mark.parametrize(
    ("model", "body"),
    [
        ("text", {"inputs": {"text": ["a", "b"]}}),
        ("text", {"inputs": ["a", "b"], "signature_name": "serving_default"}),
        ("text", {"instances": [{"text": "a"}, {"text": "b"}]}),
        ("text", {"instances": [["a"], ["b"]]}),
    ],
)
def test_forms_of_rows(client: httpx.Client, model: str, body: Any) -> None:
    answer = client.post(f"/v1/models/{model}:predict", json=body)
    assert answer.json() == SHOWN, answer.text


def test_named_tensors_by_row_and_by_column(client: httpx.Client) -> None:
    rows = [{"a": [[1, 2], [3, 4]], "b": 5}, {"a": [[5, 6], [7, 8]], "b": 6}]
    columns = {name: [row[name] for row in rows] for name in ("a", "b")}
    by_row = client.post("/v1/models/named:predict", json={"instances": rows})
    by_column = client.post("/v1/models/named:predict", json={"inputs": columns})
    assert by_row.status_code == 200, by_row.text
    assert by_row.json() == by_column.json()
    rows[1]["c"] = 1
    ragged = client.post("/v1/models/named:predict", json={"instances": rows})
    assert ragged.status_code == 422
    assert "instances[1] has other fields" in ragged.json()["error"]


def test_pictures(client: httpx.Client) -> None:
    text = base64.b64encode(blobs_as("JPEG")).decode()
    instances = [text, {"b64": text}, {"image_bytes": {"b64": text}}, [text]]
    answer = client.post("/v1/models/colours:predict", json={"instances": instances})
    assert answer.status_code == 200, answer.text
    first, *others = answer.json()["predictions"]
    assert set(first) == {"class", "confidence", "probabilities"}
    assert others == [first] * 3
    broken = {"instances": [text, {"b64": "%%"}]}
    answer = client.post("/v1/models/colours:predict", json=broken)
    assert answer.status_code == 422
    assert "instances[1]" in answer.json()["error"]


@pytest.mark.slow
def test_probabilities_are_there_for_those_who_ask(tmp_path: Path, make_server: MakeServer) -> None:
    server = make_server(trained(tmp_path, "tabular"))
    path, body = "/v1/models/ml_classifier:predict", {"instances": [[0.5] * 20, [-0.5] * 20]}
    plain = server.client.post(path, json=body).json()
    assert set(plain) == {"predictions"}
    assert len(plain["predictions"]) == 2
    full = server.client.post(path, json=body, params={"probabilities": "true"}).json()
    assert full["predictions"] == plain["predictions"]
    for label, row in zip(full["predictions"], full["probabilities"], strict=True):
        assert full["classes"][row.index(max(row))] == label
    assert server.client.post(path, json=body, params={"probabilities": "x"}).status_code == 422


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 422, "has no instances"),
        ([1], 422, "body is a list"),
        ({"instances": [], "inputs": []}, 422, "both instances and inputs"),
        ({"instances": []}, 422, "instances has no rows"),
        ({"instances": "a"}, 422, "instances is text"),
        ({"instances": ["a"], "b": 1}, 422, "body.b is unknown"),
        ({"instances": ["a", 1]}, 422, "instances[1] is a number"),
        ({"instances": [{"text": "a", "id": 1}]}, 422, "instances[0].id is unknown"),
        ({"instances": ["a"] * 101}, 413, "instances has 101 rows"),
        ({"instances": ["a"], "params": {"x": 1}}, 422, "params.x is unknown"),
    ],
)
def test_what_is_wrong_is_told(client: httpx.Client, body: Any, status: int, words: str) -> None:
    answer = client.post("/v1/models/text:predict", json=body)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    assert words in answer.json()["error"]
    assert answer.headers["content-type"] == "application/json"


def test_other_refusals(client: httpx.Client) -> None:
    for path, content, kind, status in (
        ("text:predict", b"{", "application/json", 400),
        ("text:predict", b"a,b", "text/csv", 415),
        ("text:explain", b"{}", "application/json", 404),
        ("nobody:predict", b'{"instances": [1]}', "application/json", 404),
        ("text/versions/9:predict", b'{"instances": [1]}', "application/json", 404),
        ("text/versions/*:predict", b'{"instances": [1]}', "application/json", 422),
        ("text:classify", b'{"instances": [1]}', "application/json", 405),
    ):
        answer = client.post(f"/v1/models/{path}", content=content, headers={"Content-Type": kind})
        assert answer.status_code == status, answer.text
        assert set(answer.json()) == {"error"}
    explained = client.post("/v1/models/text:explain", json=TEXTS)
    assert ":predict" in explained.json()["error"]


def test_the_model_breaks(client: httpx.Client) -> None:
    good = client.post("/v1/models/adder:predict", json={"instances": [[1, 2], [3, 4]]})
    assert good.json() == {"predictions": [3.0, 7.0]}
    for instances in ([[13]], [[14]]):
        answer = client.post("/v1/models/adder:predict", json={"instances": instances})
        assert answer.status_code == 500
        assert "secret" not in answer.json()["error"]
