"""More than it can do: refused quickly, on time or not at all, and dropped for the absent."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.patience import AT_ONCE, PATIENCE
from tests.support.pictures import blobs_as
from tests.support.server import Server, running

URL = "/process-image"
PNG = blobs_as("PNG")
_TIMEOUT = 8


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with running(folder, MAX_QUEUE=2, REQUEST_TIMEOUT=_TIMEOUT) as server:
        yield server


@pytest.fixture(autouse=True)
def _open_gate_and_wait_idle(server: Server) -> Iterator[None]:
    yield
    server.gate.unlink(missing_ok=True)
    until = time.monotonic() + PATIENCE
    while post(server).status_code != 200:
        assert time.monotonic() < until, "the server did not recover"
        time.sleep(0.02)


def post(server: Server, data: bytes = PNG) -> httpx.Response:
    return httpx.post(server.url + URL, files={"file": data}, timeout=PATIENCE)


def metric(server: Server, line: str) -> float:
    for found in httpx.get(server.url + "/metrics", timeout=PATIENCE).text.splitlines():
        if found.startswith(line):
            return float(found.rpartition(" ")[2])
    return 0.0


def cancelled(server: Server) -> float:
    return metric(
        server, 'predictions_total{mode="sync",model="blobs",status="cancelled",version="1"}'
    )


def wait_active(server: Server, count: int) -> None:
    until = time.monotonic() + PATIENCE
    while metric(server, "active_connections") != count + 1:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_beyond_the_line_it_is_429_in_milliseconds(server: Server) -> None:
    server.gate.touch()
    with ThreadPoolExecutor(3) as pool:
        admitted = [pool.submit(post, server) for _ in range(3)]
        wait_active(server, 3)
        took = []
        with server.client() as client:
            for _ in range(20):
                started = time.perf_counter()
                response = client.post(URL, files={"file": PNG})
                took.append(time.perf_counter() - started)
                assert response.status_code == 429
                assert int(response.headers["Retry-After"]) >= 1
                assert response.json()["error"]["code"] == "overloaded"
        # Nobody waited for the device, and it takes no time by itself: the machine may be busy.
        assert max(took) < _TIMEOUT / 2
        assert min(took) < 0.25
        server.gate.unlink()
        assert [answer.result().status_code for answer in admitted] == [200, 200, 200]


def test_bad_input_is_refused_while_the_device_is_busy(server: Server) -> None:
    server.gate.touch()
    with ThreadPoolExecutor(1) as pool:
        running_one = pool.submit(post, server)
        wait_active(server, 1)
        started = time.perf_counter()
        assert post(server, PNG[:-20]).status_code == 422
        assert time.perf_counter() - started < _TIMEOUT / 2
        server.gate.unlink()
        assert running_one.result().status_code == 200


def test_too_late_is_504(server: Server) -> None:
    server.gate.touch()
    started = time.monotonic()
    response = post(server)
    assert response.status_code == 504
    assert response.json()["error"]["code"] == "deadline_exceeded"
    assert _TIMEOUT - 0.5 < time.monotonic() - started < _TIMEOUT + AT_ONCE


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
