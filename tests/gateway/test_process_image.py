"""`POST /process-image`: what a good picture gets."""

import base64
import io

import httpx
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from services.gateway.schemas import ProcessImageResponse
from tests.gateway.conftest import MakeServer
from tests.support.pictures import blobs, blobs_as, encoded

URL = "/process-image"


def test_everything_at_once(client: httpx.Client) -> None:
    response = client.post(URL, files={"file": ("photo.png", blobs_as("PNG"), "image/png")})
    assert response.status_code == 200
    body = response.json()
    ProcessImageResponse.model_validate(body)
    assert body["success"] is True
    assert body["num_instances"] == 2
    assert body["image_size"] == {"height": 120, "width": 160}
    assert body["model"] == {"name": "blobs", "version": "1"}
    assert body["threshold"] == 0.5
    assert body["prediction_id"] == response.headers["X-Prediction-ID"]
    timings = body["timings"]
    assert set(timings) == {"queue", "preprocess", "inference", "postprocess"}
    assert 0 < sum(timings.values()) <= body["processing_time"]
    first, second = body["instances"]
    assert first["box"] == [30, 20, 60, 50]
    assert first["area"] == 900
    assert first["score"] > second["score"]
    mask = coco.decode(first["mask"])
    assert mask.shape == (120, 160)
    assert mask[20:50, 30:60].all()
    assert mask.sum() == 900
    with Image.open(io.BytesIO(base64.b64decode(body["image"]))) as picture:
        assert picture.format == "JPEG"
        assert picture.size == (160, 120)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
def test_kinds(client: httpx.Client, kind: str, mode: str) -> None:
    if mode == "P" and kind == "JPEG":
        pytest.skip("JPEG has no palette")
    data = encoded(Image.fromarray(blobs()).convert(mode), kind)
    response = client.post(URL, files={"file": ("x", data)})
    assert response.status_code == 200
    assert [instance["area"] for instance in response.json()["instances"]] == pytest.approx(
        [900, 400], abs=60
    )


def test_masks_lie_on_the_upright_picture(client: httpx.Client) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = np.ascontiguousarray(np.rot90(blobs()))  # so that orientation 6 turns it back
    data = encoded(Image.fromarray(turned), "PNG", exif=exif)
    body = client.post(URL, files={"file": ("x.png", data, "image/png")}).json()
    assert body["image_size"] == {"height": 120, "width": 160}
    assert body["instances"][0]["box"] == [30, 20, 60, 50]


@pytest.mark.parametrize(
    ("query", "image", "masks"),
    [
        ("", True, True),
        ("?include=image,masks", True, True),
        ("?include=masks,image", True, True),
        ("?include=image&include=masks", True, True),
        ("?include=image", True, False),
        ("?include=masks", False, True),
        ("?include=", False, False),
    ],
)
def test_include(client: httpx.Client, query: str, image: bool, masks: bool) -> None:
    body = client.post(URL + query, files={"file": ("x.png", blobs_as("PNG"))}).json()
    assert (body["image"] is not None) == image
    assert [i["mask"] is not None for i in body["instances"]] == [masks, masks]


@pytest.mark.parametrize(("threshold", "found"), [("0", 2), ("0.9", 1), ("1", 0), ("1e-3", 2)])
def test_threshold(client: httpx.Client, threshold: str, found: int) -> None:
    response = client.post(
        URL, params={"threshold": threshold}, files={"file": ("x.png", blobs_as("PNG"))}
    )
    assert response.json()["num_instances"] == found
    assert response.json()["threshold"] == float(threshold)


def test_without_a_threshold_the_setting_counts(make_server: MakeServer) -> None:
    client = make_server(cutler_threshold=0.9).client
    body = client.post(URL, files={"file": ("x.png", blobs_as("PNG"))}).json()
    assert (body["num_instances"], body["threshold"]) == (1, 0.9)


@pytest.mark.parametrize(
    "declared", ["image/png", "image/x-png", "application/octet-stream", "image/png; a=b", ""]
)
def test_honest_and_silent_labels(client: httpx.Client, declared: str) -> None:
    file = ("x", blobs_as("PNG"), declared) if declared else ("x", blobs_as("PNG"))
    assert client.post(URL, files={"file": file}).status_code == 200


def test_small_fields_beside_the_file_are_ignored(client: httpx.Client) -> None:
    files = {"file": ("x.png", blobs_as("PNG"))}
    assert client.post(URL, files=files, data={"comment": "hello"}).status_code == 200


def test_an_empty_picture_has_no_objects(client: httpx.Client) -> None:
    data = encoded(Image.new("RGB", (30, 20)), "JPEG")
    body = client.post(URL, files={"file": ("x.jpg", data)}).json()
    assert (body["num_instances"], body["instances"]) == (0, [])


def test_a_file_of_exactly_the_limit(make_server: MakeServer) -> None:
    data = blobs_as("PNG")
    client = make_server(max_file_size=len(data)).client
    assert client.post(URL, files={"file": ("x.png", data)}).status_code == 200
