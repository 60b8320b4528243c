"""What is running, how it is, and what a browser gets to see."""

import re
import threading
import time

import httpx
import pytest

from services import __version__
from services.core.errors import ConfigurationError
from tests.gateway.conftest import MakeServer
from tests.support.blobs import BlobFamily
from tests.support.patience import AT_ONCE, PATIENCE

INFO_PATHS = ("/model/info", "/model-info", "/model_info")


def test_the_root_is_information(client: httpx.Client) -> None:
    response = client.get("/")
    body = response.json()
    assert (body["name"], body["version"]) == ("Slipway", __version__)
    assert body["endpoints"]["process_image"] == "POST /process-image"
    assert response.headers["Vary"] == "Accept"


def test_the_root_is_a_page_to_a_browser(client: httpx.Client) -> None:
    response = client.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert response.headers["Content-Type"].startswith("text/html")
    assert response.headers["Vary"] == "Accept"
    assert "/process-image" in client.get("/static/home.js").text


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_run_no_script_of_their_own(client: httpx.Client, path: str) -> None:
    response = client.get(path, headers={"Accept": "text/html"})
    policy = response.headers["Content-Security-Policy"]
    scripts = re.search(r"script-src ([^;]*)", policy)
    assert scripts
    assert "unsafe" not in scripts[1]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"<script>|<style|\son\w+=|\sstyle=|javascript:", response.text)
    assert "https://" not in response.text  # nothing comes from elsewhere


@pytest.mark.parametrize(
    "path",
    [
        "/static/home.js",
        "/static/home.css",
        "/static/docs.js",
        "/static/swagger/swagger-ui-bundle.js",
        "/static/swagger/swagger-ui.css",
    ],
)
def test_the_pages_parts(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    again = client.get(path, headers={"If-None-Match": response.headers["ETag"]})
    assert again.status_code == 304


def test_nothing_outside_the_static_folder(client: httpx.Client) -> None:
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static/"):
        response = client.get(path)
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "not_found"


def test_healthy(client: httpx.Client) -> None:
    body = client.get("/health").json()
    assert body == {
        "status": "healthy",
        "version": __version__,
        "service": "Slipway",
        "reason": None,
        "services": {"gateway": "healthy", "engine": "healthy"},
        "models": {"blobs": True},
        "workers": {},
        "failures": [],
    }
    assert client.get("/health/live").json() == {"status": "alive"}
    assert client.get("/health/ready").json() == {"status": "ready", "models": {"blobs": "ready"}}


@pytest.mark.parametrize("path", INFO_PATHS)
def test_the_model(client: httpx.Client, path: str) -> None:
    body = client.get(path).json()
    assert body["name"] == "blobs"
    assert body["device"] == "cpu"
    assert body["details"] == {"bright": 128}


def test_while_the_model_loads_the_process_is_alive_but_not_ready(make_server: MakeServer) -> None:
    release = threading.Event()

    def wait() -> None:
        assert release.wait(PATIENCE)

    server = make_server(BlobFamily(before_load=wait), ready=False)
    client = server.client
    started = time.monotonic()
    assert client.get("/health/live").status_code == 200
    assert time.monotonic() - started < AT_ONCE
    assert client.get("/health").json()["status"] == "starting"
    for path in ("/health/ready", *INFO_PATHS):
        response = client.get(path)
        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) >= 1
        assert "loading" in response.json()["error"]["message"]
    refused = client.post("/process-image", files={"file": b"\xff\xd8\xff"})
    assert refused.status_code == 503
    release.set()
    server.wait_ready()
    assert client.get("/health/ready").status_code == 200


def test_a_model_that_failed_says_why(make_server: MakeServer) -> None:
    def fail() -> None:
        raise ConfigurationError("No weights.", where="MODEL_PATH", expected="a file")

    client = make_server(BlobFamily(before_load=fail)).client
    health = client.get("/health").json()
    assert health["status"] == "failed"
    assert health["models"] == {"blobs": False}
    assert [failure["model"] for failure in health["failures"]] == ["blobs"]
    assert "No weights." in health["failures"][0]["reason"]
    assert client.get("/health/live").status_code == 200
    response = client.get("/health/ready")
    assert response.status_code == 503
    assert "No weights. (MODEL_PATH; expected a file)" in response.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/", "/health", "/health/live", "/metrics", "/model/info"])
def test_head_is_get_without_a_body(client: httpx.Client, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["Content-Type"] == get.headers["Content-Type"]
    assert client.get(path).status_code == 200  # the connection is still in step


def test_metrics_are_in_prometheus_format(client: httpx.Client) -> None:
    response = client.get("/metrics")
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    assert "# TYPE http_requests_total counter" in response.text
    assert 'model_loaded_info{device="cpu",family="blobs"' in response.text
