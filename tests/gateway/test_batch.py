"""`POST /predict/batch`: many items, each answered or refused by itself."""

import base64
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image

from services.engine.apart import split
from services.gateway.schemas_batch import BatchResponse
from tests.conftest import MakeSettings, settings_for_tests
from tests.gateway.families import AdderFamily, ColourFamily
from tests.gateway.test_metrics import samples
from tests.support.blobs import BlobFamily
from tests.support.local import LocalServer, serving
from tests.support.patience import PATIENCE
from tests.support.pictures import blobs_as, encoded
from tests.support.small_models import untrained_digits

URL = "/predict/batch"
MOST_FILES, MOST_ROWS, LARGEST = 6, 300, 200_000
BLANK = [0.0] * 784


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    folder = tmp_path_factory.mktemp("batch")
    settings = settings_for_tests(
        data_dir=folder,
        max_file_size=LARGEST,
        max_batch_files=MOST_FILES,
        max_rows=MOST_ROWS,
    )
    families = {
        "adder": AdderFamily(),
        "colours": ColourFamily(),
        "blobs": BlobFamily(),
        "digits": untrained_digits(folder / "digits"),
    }
    with serving(settings, families) as server:
        yield server


@pytest.fixture
def client(server: LocalServer) -> httpx.Client:
    return server.client


def picture(colour: str = "red") -> bytes:
    return encoded(Image.new("RGB", (8, 8), colour), "PNG")


def files(*contents: bytes, field: str = "files") -> list[tuple[str, Any]]:
    return [(field, (f"{index}.png", data)) for index, data in enumerate(contents)]


def answered(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    BatchResponse.model_validate(body)
    assert [result["index"] for result in body["results"]] == list(range(body["count"]))
    assert body["succeeded"] == sum(result["success"] for result in body["results"])
    assert body["failed"] == body["count"] - body["succeeded"]
    return body


def refused(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    error: dict[str, Any] = response.json()["error"]
    return error


def test_pictures_in_their_order(client: httpx.Client) -> None:
    response = client.post(URL, files=files(*map(picture, ("red", "lime", "blue"))))
    body = answered(response)
    assert [result["class"] for result in body["results"]] == ["red", "green", "blue"]
    assert (body["model_name"], body["model_version"], body["failed"]) == ("colours", "1", 0)
    ids = [result["prediction_id"] for result in body["results"]]
    assert len(set(ids)) == 3
    assert response.headers["X-Prediction-ID"] == ids[0]


def test_each_answer_has_the_fields_of_a_single_one(client: httpx.Client) -> None:
    (result,) = answered(client.post(URL, files=files(picture())))["results"]
    single = client.post("/predict", files={"file": picture()}).json()
    for name in ("class", "confidence", "probabilities"):
        assert result[name] == single[name]


@pytest.mark.parametrize("field", ["file", "files[]"])
def test_other_names_of_the_field(client: httpx.Client, field: str) -> None:
    body = answered(client.post(URL, files=files(picture(), picture(), field=field)))
    assert body["succeeded"] == 2


def test_a_bad_picture_fails_alone(server: LocalServer) -> None:
    broken = blobs_as("PNG")[:60]
    response = server.client.post(URL, files=files(picture(), b"text", b"", broken, picture()))
    body = answered(response)
    assert [result["success"] for result in body["results"]] == [True, False, False, False, True]
    errors = [result["error"] for result in body["results"] if not result["success"]]
    assert [error["where"] for error in errors] == ["files[1]", "files[2]", "files[3]"]
    assert [error["code"] for error in errors] == [
        "unsupported_media_type", "invalid_input", "invalid_input"
    ]  # fmt: skip
    assert all(error["expected"] for error in errors)
    assert samples(server, "file_uploads_total")["rejected", "other"] >= 2


def test_objects_in_pictures_of_a_model_that_is_named(client: httpx.Client) -> None:
    body = answered(client.post(f"{URL}?model=blobs", files=files(blobs_as("PNG"), picture())))
    assert [result["num_instances"] for result in body["results"]] == [2, 0]
    assert body["results"][0]["instances"][0]["mask"]["counts"]
    # Nobody asked for the annotated picture.
    assert "image" not in body["results"][0]


def test_pictures_in_json(client: httpx.Client) -> None:
    items = [base64.b64encode(picture("lime")).decode(), "no base64", "", 7]
    body = answered(client.post(URL, json={"model": "colours", "inputs": items}))
    assert body["results"][0]["class"] == "green"
    assert [result["error"]["where"] for result in body["results"][1:]] == [
        "inputs[1]", "inputs[2]", "inputs[3]"
    ]  # fmt: skip


def test_rows_are_predicted_in_one_call(server: LocalServer) -> None:
    rows = [[index, 0.5] for index in range(8)]
    calls = samples(server, "prediction_batch_size_count").get(("adder", "7"), 0)
    body = answered(server.client.post(URL, json={"features": rows}))
    assert [result["prediction"] for result in body["results"]] == [i + 0.5 for i in range(8)]
    assert samples(server, "prediction_batch_size_count")["adder", "7"] == calls + 1
    assert len({result["prediction_id"] for result in body["results"]}) == 1
    assert samples(server, "predictions_total")["batch", "adder", "success", "7"] >= 1


def test_a_bad_row_fails_alone(client: httpx.Client) -> None:
    rows = [[1.0], ["x"], [13.0], [2.0], None]
    body = answered(client.post(URL, json={"features": rows}))
    assert [result["success"] for result in body["results"]] == [True, False, False, True, False]
    assert [result.get("prediction") for result in body["results"]] == [1.0, None, None, 2.0, None]
    codes = [result["error"]["code"] for result in body["results"] if not result["success"]]
    assert codes == ["invalid_input", "prediction_failed", "invalid_input"]
    assert "secret" not in str(body)


def test_an_error_says_which_item_of_the_callers_list(client: httpx.Client) -> None:
    far = [*BLANK[:17], 999, *BLANK[18:]]
    rows = [BLANK, far, BLANK[:5], BLANK, "x"]
    for name in ("images", "image"):
        body = answered(client.post(URL, json={name: rows}))
        wrong = {r["index"]: r["error"] for r in body["results"] if not r["success"]}
        assert [wrong[index]["where"] for index in (1, 2, 4)] == [
            f"{name}[1][17]", f"{name}[2]", f"{name}[4]"
        ]  # fmt: skip
        good = body["results"][3]
        assert len(good["probabilities"]) == 10
        assert good["confidence"] == max(good["probabilities"])
        assert good["prediction"] == good["probabilities"].index(good["confidence"])
        assert body["classes"] == list(range(10))


def test_all_bad_is_an_answer_too(client: httpx.Client) -> None:
    response = client.post(URL, json={"features": ["x"] * 200})
    body = answered(response)
    assert (body["succeeded"], body["failed"], body["model_version"]) == (0, 200, None)
    assert "X-Prediction-ID" not in response.headers


def test_rows_of_a_model_that_is_named(client: httpx.Client) -> None:
    rows = {"inputs": [[1, 2], [3, 4]]}
    for response in (
        client.post(URL, json={"model": "adder", **rows}),
        client.post(f"{URL}?model=adder", json=rows),
        client.post(f"{URL}?model=adder", json={"features": rows["inputs"]}),
    ):
        assert [result["prediction"] for result in answered(response)["results"]] == [3.0, 7.0]


@pytest.mark.parametrize(
    ("body", "status", "where"),
    [
        ({}, 422, "body"),
        ({"features": [[1]], "images": [BLANK]}, 422, "body"),
        ({"features": []}, 422, "features"),
        ({"features": {"x": [1]}}, 422, "features"),
        ({"features": [[1]], "extra": 1}, 422, "body.extra"),
        ({"features": [[1]] * (MOST_ROWS + 1)}, 413, "features"),
        ({"inputs": [[1]]}, 422, "model"),
        ({"inputs": [[1]], "model": 7}, 422, "model"),
        ({"inputs": [[1]], "model": "nobody"}, 404, "model"),
        ({"inputs": [""] * (MOST_FILES + 1), "model": "colours"}, 413, "inputs"),
        ([1], 422, "body"),
    ],
)
def test_requests_that_are_refused_whole(
    client: httpx.Client, body: Any, status: int, where: str
) -> None:
    assert refused(client.post(URL, json=body), status)["where"] == where


def test_forms_that_are_refused_whole(client: httpx.Client) -> None:
    many = client.post(URL, files=files(*[picture()] * (MOST_FILES + 3)))
    assert refused(many, 413)["expected"] == f"at most {MOST_FILES}"
    unknown = client.post(URL, files=files(picture(), field="photo"))
    assert refused(unknown, 422)["where"] == "form.photo"
    nothing = client.post(URL, data={"files": "text"}, files={})
    assert refused(nothing, 415)["where"] == "Content-Type"
    assert refused(client.post(URL, files={"x": (None, "text")}), 422)["where"] == "files"
    rows = client.post(f"{URL}?model=adder", files=files(picture()))
    assert refused(rows, 415)["expected"] == "application/json"
    twice = client.post(f"{URL}?model=adder", json={"model": "adder", "inputs": [[1]]})
    assert refused(twice, 422)["where"] == "model"
    assert refused(client.post(f"{URL}?model=nobody", files=files(picture())), 404)
    large = client.post(URL, files=files(*[bytes(LARGEST // 2)] * 3))
    assert refused(large, 413)["where"] == "body"


@pytest.fixture
def held(make_settings: MakeSettings) -> Iterator[tuple[LocalServer, threading.Event]]:
    """Return a gateway whose model answers nothing until the event is set."""
    hold, warm = threading.Event(), threading.Event()

    def gate() -> None:
        assert not warm.is_set() or hold.wait(PATIENCE)

    settings = make_settings(request_timeout=4)
    with serving(settings, BlobFamily(gate=gate)) as server:
        warm.set()
        yield server, hold
        hold.set()


def test_the_whole_batch_has_one_deadline(held: tuple[LocalServer, threading.Event]) -> None:
    server, _ = held
    body = files(*[blobs_as("PNG")] * 12)
    late = server.client.post(f"{URL}?model=blobs", files=body)
    assert refused(late, 504)["code"] == "deadline_exceeded"
    # Four at a time, and four seconds each, the twelve would have taken three times as long. One
    # or another of the next four may begin in the last moment.
    assert 4 <= samples(server, "predictions_total")["batch", "blobs", "timeout", "1"] <= 8


def test_nobody_works_for_a_caller_who_has_gone(held: tuple[LocalServer, threading.Event]) -> None:
    server, _ = held
    with pytest.raises(httpx.ReadTimeout):
        server.client.post(f"{URL}?model=blobs", files=files(*[blobs_as("PNG")] * 12), timeout=2)
    until = time.monotonic() + PATIENCE
    while ("batch", "blobs", "cancelled", "1") not in samples(server, "predictions_total"):
        assert time.monotonic() < until
        time.sleep(0.02)
    assert samples(server, "predictions_total")["batch", "blobs", "cancelled", "1"] == 4


def test_answers_that_cannot_be_taken_apart() -> None:
    assert split({"predictions": [1, 2], "classes": ["a"]}, 2) == [
        {"prediction": 1}, {"prediction": 2}
    ]  # fmt: skip
    rows = split({"predictions": [1], "probabilities": [[0.25, 0.75]]}, 1)
    assert rows == [{"prediction": 1, "probabilities": [0.25, 0.75], "confidence": 0.75}]
    assert split({"predictions": {"a": [1, 2]}}, 2) is None
    assert split({"predictions": [1, 2, 3]}, 2) is None
    assert split({"values": [1, 2]}, 2) is None
