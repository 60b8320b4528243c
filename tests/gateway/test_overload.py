"""More than it can do: refused quickly, on time or not at all, and dropped for the absent."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.pictures import blobs_as
from tests.support.server import Server, running

URL = "/process-image"
PNG = blobs_as("PNG")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with running(folder, MAX_QUEUE=2, REQUEST_TIMEOUT=3) as server:
        yield server


@pytest.fixture(autouse=True)
def _open_gate_and_wait_idle(server: Server) -> Iterator[None]:
    yield
    server.gate.unlink(missing_ok=True)
    for _ in range(300):
        if httpx.post(server.url + URL, files={"file": PNG}).status_code == 200:
            return
        time.sleep(0.02)
    raise AssertionError("the server did not recover")


def post(server: Server, data: bytes = PNG) -> httpx.Response:
    return httpx.post(server.url + URL, files={"file": data}, timeout=30)


def metric(server: Server, line: str) -> float:
    for found in httpx.get(server.url + "/metrics").text.splitlines():
        if found.startswith(line):
            return float(found.rpartition(" ")[2])
    return 0.0


def cancelled(server: Server) -> float:
    return metric(
        server, 'predictions_total{mode="sync",model="blobs",status="cancelled",version="1"}'
    )


def wait_active(server: Server, count: int) -> None:
    for _ in range(300):
        if metric(server, "active_connections") == count + 1:
            return
        time.sleep(0.01)
    raise AssertionError


def test_beyond_the_line_it_is_429_in_milliseconds(server: Server) -> None:
    server.gate.touch()
    with ThreadPoolExecutor(3) as pool:
        admitted = [pool.submit(post, server) for _ in range(3)]
        wait_active(server, 3)
        slowest = 0.0
        with server.client() as client:
            for _ in range(20):
                started = time.perf_counter()
                response = client.post(URL, files={"file": PNG})
                slowest = max(slowest, time.perf_counter() - started)
                assert response.status_code == 429
                assert int(response.headers["Retry-After"]) >= 1
                assert response.json()["error"]["code"] == "overloaded"
        assert slowest < 0.25
        server.gate.unlink()
        assert [answer.result().status_code for answer in admitted] == [200, 200, 200]


def test_bad_input_is_refused_while_the_device_is_busy(server: Server) -> None:
    server.gate.touch()
    with ThreadPoolExecutor(1) as pool:
        running_one = pool.submit(post, server)
        wait_active(server, 1)
        started = time.perf_counter()
        assert post(server, PNG[:-20]).status_code == 422
        assert time.perf_counter() - started < 0.5
        server.gate.unlink()
        assert running_one.result().status_code == 200


def test_too_late_is_504(server: Server) -> None:
    server.gate.touch()
    started = time.monotonic()
    response = post(server)
    assert response.status_code == 504
    assert response.json()["error"]["code"] == "deadline_exceeded"
    assert 2.5 < time.monotonic() - started < 6


def test_work_for_a_caller_who_has_gone_is_dropped(server: Server) -> None:
    before = cancelled(server)
    server.gate.touch()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, server)
        wait_active(server, 1)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(server.url + URL, files={"file": PNG}, timeout=0.3)
        wait_active(server, 1)
        assert cancelled(server) == before + 1
        server.event("prediction dropped", phase="inference")
        server.event("request", status=499, path=URL)
        server.gate.unlink()
        assert first.result().status_code == 200


def test_a_caller_who_goes_in_the_middle_of_sending(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(
            b"POST /process-image HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
            b"X-Request-ID: gone-1\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
        )
        wait_active(server, 1)
    server.event("request", request_id="gone-1", status=499)
