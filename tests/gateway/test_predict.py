"""`POST /predict` and `POST /models/{name}/predict`, with models that come with their families."""

import io
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from PIL import Image

from services.gateway.schemas import PredictionResponse
from tests.conftest import settings_for_tests
from tests.gateway.conftest import MakeServer
from tests.gateway.families import AdderFamily, ColourFamily
from tests.support.blobs import BlobFamily
from tests.support.local import serving
from tests.support.pictures import blobs_as, encoded

JSON = {"Content-Type": "application/json"}


def families() -> dict[str, Any]:
    return {"adder": AdderFamily(), "colours": ColourFamily(), "blobs": BlobFamily()}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    settings = settings_for_tests(data_dir=tmp_path_factory.mktemp("data"), max_file_size=200_000)
    with serving(settings, families()) as server:
        yield server.client


def picture(colour: str = "red") -> bytes:
    return encoded(Image.new("RGB", (8, 8), colour), "PNG")


def test_the_field_of_the_body_decides(client: httpx.Client) -> None:
    response = client.post("/predict", json={"features": [1, 2.5]})
    body = response.json()
    assert response.status_code == 200
    PredictionResponse.model_validate(body)
    assert body["predictions"] == [3.5]
    assert (body["model_name"], body["model_version"]) == ("adder", "7")
    assert body["prediction_id"] == response.headers["X-Prediction-ID"]
    assert uuid.UUID(body["prediction_id"]).version == 7
    age = datetime.now(UTC) - datetime.fromisoformat(body["timestamp"])
    assert timedelta(0) <= age < timedelta(minutes=1)


def test_a_file_goes_to_the_family_that_takes_files(client: httpx.Client) -> None:
    body = client.post("/predict", files={"file": ("a.png", picture("lime"))}).json()
    assert (body["class"], body["model_name"]) == ("green", "colours")
    assert set(body["probabilities"]) == {"blue", "green", "red"}


def test_by_name(client: httpx.Client) -> None:
    body = client.post("/models/adder/predict", json={"inputs": [[1, 2], [3, 4]]}).json()
    assert body["predictions"] == [3.0, 7.0]
    assert client.post("/models/adder/predict", json={"features": [1]}).status_code == 200
    body = client.post("/models/adder/predict?version=7", json={"features": [1]}).json()
    assert body["model_version"] == "7"
    body = client.post("/models/colours/predict", files={"file": picture("blue")}).json()
    assert body["class"] == "blue"


def test_objects_in_a_picture_by_name(client: httpx.Client) -> None:
    """As `/process-image` answers them."""
    by_name = client.post("/models/blobs/predict", files={"file": blobs_as("PNG")}).json()
    direct = client.post("/process-image", files={"file": blobs_as("PNG")}).json()
    changing = {"prediction_id", "timestamp", "processing_time", "timings"}
    assert by_name["num_instances"] == 2
    assert {k: v for k, v in by_name.items() if k not in changing} == {
        k: v for k, v in direct.items() if k not in changing
    }


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/models/nobody/predict", 404),
        ("/models/adder/predict?version=8", 404),
        ("/models/adder/predict?version=7&stage=production", 422),
        ("/models/adder/predict?stage=nonsense", 422),
        ("/models/adder/predict?version=%00", 422),
        ("/models//predict", 404),
    ],
)
def test_what_is_not_there(client: httpx.Client, path: str, status: int) -> None:
    response = client.post(path, json={"features": [1]})
    assert response.status_code == status, response.text
    assert response.json()["error"]["message"]


BODIES: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 422, "empty"),
    "blank": (b" \n", 422, "empty"),
    "no json": (b"{", 400, "not valid JSON (line 1"),
    "nan": (b'{"features": [NaN]}', 400, "not valid JSON"),
    "infinite": (b'{"features": [1e999]}', 400, "not valid JSON"),
    "latin-1": (b'{"features": ["\xe9"]}', 400, "not valid JSON"),
    "lone surrogate": (b'{"features": ["\\ud800"]}', 400, "not valid JSON"),
    "twice": (b'{"features": [1], "features": [2]}', 400, "twice"),
    "twice inside": (b'{"features": [1], "a": {"b": 1, "c:": 2, "b": 3}}', 400, "twice"),
    "too deep": (b'{"features": ' + b"[" * 80 + b"]" * 80 + b"}", 400, "deep"),
    "far too deep": (b"[" * 100_000, 400, "not valid JSON"),
    "a list": (b"[1]", 422, "not an object"),
    "a number": (b"1", 422, "not an object"),
    "no field": (b'{"nothing": 1}', 422, "none of the fields"),
    "no numbers": (b'{"features": ["SECRET-4711"]}', 422, "no rows"),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_bad_body(client: httpx.Client, name: str) -> None:
    content, status, says = BODIES[name]
    response = client.post("/predict", content=content, headers=JSON)
    error = response.json()["error"]
    assert (response.status_code, says in error["message"]) == (status, True), error
    assert error["where"]
    assert error["expected"]
    assert "SECRET" not in response.text
    assert client.post("/predict", json={"features": [1]}).status_code == 200


def test_the_known_fields_are_listed(tmp_path_factory: pytest.TempPathFactory) -> None:
    class Other(AdderFamily):
        name = "other"
        model_name = "other"
        field = "texts"

    settings = settings_for_tests(data_dir=tmp_path_factory.mktemp("data"))
    with serving(settings, {"adder": AdderFamily(), "other": Other("other")}) as server:
        for body in ({}, {"features": [1], "texts": [2]}):
            error = server.client.post("/predict", json=body).json()["error"]
            assert error["expected"] == "exactly one of features, texts"
        assert server.client.post("/predict", files={"file": picture()}).status_code == 404


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "text/csv"])
@pytest.mark.parametrize("path", ["/predict", "/models/adder/predict"])
def test_another_media_type(client: httpx.Client, path: str, kind: str) -> None:
    response = client.post(path, content=b"a=1", headers={"Content-Type": kind})
    assert response.status_code == 415
    assert response.json()["error"]["where"] == "Content-Type"


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "Application/JSON", "application/vnd.x+json"]
)
def test_other_labels_of_json(client: httpx.Client, kind: str) -> None:
    response = client.post("/predict", content=b'{"features": [1]}', headers={"Content-Type": kind})
    assert response.status_code == 200


def test_the_wrong_kind_of_body_for_a_model(client: httpx.Client) -> None:
    response = client.post("/models/adder/predict", files={"file": picture()})
    assert (response.status_code, response.json()["error"]["expected"]) == (415, "application/json")
    response = client.post("/models/colours/predict", json={"features": [1]})
    assert response.status_code == 415
    assert "multipart/form-data" in response.json()["error"]["expected"]


def test_a_model_that_breaks_or_answers_nonsense(client: httpx.Client) -> None:
    for value in (13, 14):
        response = client.post("/predict", json={"features": [value]})
        assert response.status_code == 500
        assert response.json()["error"]["code"] == "prediction_failed"
        assert "secret" not in response.text


def test_text_with_colons_and_brackets_is_no_key(client: httpx.Client) -> None:
    body = {"features": [1], "note": "a: b: [[[{{{ " * 50, "more": {"x:": [":"]}}
    assert client.post("/predict", json=body).status_code == 200


def test_a_large_body(client: httpx.Client) -> None:
    rows = [[float(n), 0.5] for n in range(12_000)]
    body = client.post("/models/adder/predict", json={"inputs": rows, "params": {}}).json()
    assert len(body["predictions"]) == 12_000
    response = client.post("/predict", content=b'"' + b"x" * 300_000 + b'"', headers=JSON)
    assert response.status_code == 413


def test_the_only_model_of_a_family_stands_in_for_the_usual_name(make_server: MakeServer) -> None:
    client = make_server(AdderFamily("another-name")).client
    body = client.post("/predict", json={"features": [2]}).json()
    assert body["model_name"] == "another-name"


def test_pictures_are_counted(client: httpx.Client) -> None:
    client.post("/predict", files={"file": ("x.png", io.BytesIO(picture()[:-20]))})
    client.post("/predict", files={"file": ("x.png", picture())})
    text = client.get("/metrics").text
    assert 'file_uploads_total{status="rejected",type="png"}' in text
    assert 'file_uploads_total{status="accepted",type="png"}' in text
    assert 'http_requests_total{method="POST",route="/predict",status="200"}' in text
