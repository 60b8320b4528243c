"""The server as a process: signals, draining, its port, and its log."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.patience import AT_ONCE, PATIENCE
from tests.support.pictures import blobs_as
from tests.support.server import ROOT, Server, running

URL = "/process-image"


def post(server: Server) -> httpx.Response:
    return httpx.post(server.url + URL, files={"file": blobs_as("PNG")}, timeout=PATIENCE)


def wait_running(server: Server, count: int) -> None:
    """Wait until `count` requests are being answered (and this one)."""
    with server.client() as client:
        until = time.monotonic() + PATIENCE
        while f"active_connections {count + 1}.0" not in (text := client.get("/metrics").text):
            assert time.monotonic() < until, text
            time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_ends_at_once_with_0(tmp_path: Path, number: int) -> None:
    with running(tmp_path, SHUTDOWN_GRACE=PATIENCE) as server:
        with server.client() as client:
            client.get("/health")  # an idle connection is no reason to wait
            started = time.monotonic()
            server.signal(number)
            assert server.wait() == 0
        assert time.monotonic() - started < AT_ONCE
        server.event("engine closed")


def test_what_runs_and_waits_is_answered_before_the_end(tmp_path: Path) -> None:
    with running(tmp_path) as server, ThreadPoolExecutor(3) as pool:
        server.gate.touch()
        answers = [pool.submit(post, server) for _ in range(3)]
        wait_running(server, 3)
        server.signal()
        server.event("draining")
        time.sleep(0.5)
        assert server.process.poll() is None
        server.gate.unlink()
        assert [answer.result().status_code for answer in answers] == [200, 200, 200]
        assert server.wait() == 0


def test_readiness_says_so_first(tmp_path: Path) -> None:
    with running(tmp_path, SHUTDOWN_DELAY=6) as server:
        server.signal()
        server.event("draining")
        # New connections are still served, so that a load balancer can look away in peace.
        response = httpx.get(server.url + "/health/ready", timeout=PATIENCE)
        assert response.status_code == 503
        assert "shutting down" in response.json()["error"]["message"]
        assert httpx.get(server.url + "/health/live", timeout=PATIENCE).status_code == 200
        assert httpx.get(server.url + "/health", timeout=PATIENCE).json()["status"] == "draining"
        assert post(server).status_code == 200
        assert server.wait() == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(server.url + "/health/live")


def test_the_grace_has_an_end(tmp_path: Path) -> None:
    with running(tmp_path, SHUTDOWN_GRACE=1) as server, ThreadPoolExecutor(1) as pool:
        server.gate.touch()
        answer = pool.submit(post, server)
        wait_running(server, 1)
        started = time.monotonic()
        server.signal()
        response = answer.result()
        assert response.status_code == 503
        assert response.headers["Retry-After"]
        assert server.wait() == 0
        assert time.monotonic() - started < AT_ONCE


def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    with running(tmp_path, SHUTDOWN_GRACE=PATIENCE) as server, ThreadPoolExecutor(1) as pool:
        server.gate.touch()
        answer = pool.submit(post, server)
        wait_running(server, 1)
        server.signal()
        server.event("draining")
        started = time.monotonic()
        server.signal()
        assert server.wait() == 0
        assert time.monotonic() - started < AT_ONCE
        assert answer.result().status_code == 503


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        with pytest.raises(AssertionError) as caught:
            Server(tmp_path, PORT=server.port)
        text = str(caught.value)
        assert f"PORT: Port {server.port} of 127.0.0.1 cannot be opened" in text
        assert "Traceback" not in text


def test_a_host_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="HOST: The address"):
        Server(tmp_path, HOST="no.such.host.invalid")


def test_every_line_of_the_log_is_json_and_carries_the_request(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        with server.client() as client:
            client.post(URL, files={"file": b"x"}, headers={"X-Request-ID": "mine-1"})
            client.get('/%0a{"event":"forged"}%1b[2J?secret=4711')
        entry = server.event("request", request_id="mine-1")
        assert (entry["method"], entry["path"], entry["status"]) == ("POST", URL, 415)
        assert entry["duration_ms"] >= 0
        assert entry["client"] == "127.0.0.1"
        server.event("request", status=404)
        assert all(line.startswith("{") and line.endswith("}\n") for line in server.lines)
        assert not any("4711" in line or "\x1b" in line for line in server.lines)
        assert "forged" not in {entry["event"] for entry in server.entries()}


def test_a_bad_setting_is_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "services.gateway"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PORT": "eighty"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("slipway: The value of PORT is not accepted. (PORT: ")
    assert done.stderr.count("\n") == 1
