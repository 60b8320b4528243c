"""Headers that every answer carries, whatever it is."""

import uuid

import httpx
import pytest

from tests.gateway.conftest import MakeServer
from tests.support.blobs import BlobFamily
from tests.support.pictures import blobs_as

PATHS = ("/", "/health", "/nowhere", "/metrics", "/docs")


@pytest.mark.parametrize("path", PATHS)
def test_on_every_answer(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert 0 <= float(headers["X-Process-Time"]) < 5
    assert uuid.UUID(headers["X-Request-ID"]).version == 7
    assert "Cache-Control" in headers
    assert "Server" not in headers


def test_a_harmless_request_id_comes_back(client: httpx.Client) -> None:
    response = client.get("/nowhere", headers={"X-Request-ID": "trace:1.2-3_4"})
    assert response.headers["X-Request-ID"] == "trace:1.2-3_4"
    assert response.json()["error"]["request_id"] == "trace:1.2-3_4"


@pytest.mark.parametrize("bad", ["x" * 129, "a b", "<script>", "é", ""])
def test_another_is_replaced(client: httpx.Client, bad: str) -> None:
    response = client.get("/health", headers=[(b"X-Request-ID", bad.encode("latin-1"))])
    assert uuid.UUID(response.headers["X-Request-ID"]).version == 7


def test_ids_do_not_mix(client: httpx.Client) -> None:
    ids = {client.get("/health").headers["X-Request-ID"] for _ in range(20)}
    assert len(ids) == 20


def test_no_page_elsewhere_may_call_unless_named(make_server: MakeServer) -> None:
    origin = {"Origin": "https://app.example"}
    closed = make_server().client.get("/health", headers=origin)
    assert "Access-Control-Allow-Origin" not in closed.headers
    client = make_server(cors_origins=("https://app.example",)).client
    allowed = client.get("/health", headers=origin)
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://app.example"
    other = client.get("/health", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in other.headers
    preflight = client.options(
        "/process-image", headers={**origin, "Access-Control-Request-Method": "POST"}
    )
    assert preflight.status_code == 200
    assert "X-Request-ID" in preflight.headers


def test_a_failed_prediction_has_its_id_too(make_server: MakeServer) -> None:
    def broken() -> None:
        raise ValueError("broken")

    client = make_server(BlobFamily(broken)).client
    picture = {"file": ("photo.png", blobs_as("PNG"), "image/png")}
    answer = client.post("/process-image", files=picture)
    assert answer.status_code == 500
    found = client.get(f"/predictions/{answer.headers['X-Prediction-ID']}").json()
    assert found["status"] == "failed"
    assert found["error"]["code"] == "prediction_failed"
