"""Bodies on the wire: refused while they arrive, and closed when they do not."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import settings_for_tests
from tests.gateway.conftest import MakeServer
from tests.support.local import LocalServer, serving
from tests.support.patience import AT_ONCE, PATIENCE
from tests.support.pictures import blobs_as

LIMIT = 100_000
# Seconds for a body; the machine may be busy.
_TIMEOUT = 3.0
HEAD = (
    b"POST /process-image HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
)
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    folder = tmp_path_factory.mktemp("data")
    settings = settings_for_tests(data_dir=folder, max_file_size=LIMIT, upload_timeout=_TIMEOUT)
    with serving(settings) as server:
        yield server


@pytest.fixture
def connection(server: LocalServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        yield connection


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """Read until the server closes; return the status and everything."""
    received = b""
    while data := connection.recv(65536):
        received += data
    return int(received.split(b" ", 2)[1]), received


def test_a_declared_size_is_refused_before_a_byte_of_it_is_sent(connection: socket.socket) -> None:
    started = time.monotonic()
    connection.sendall(HEAD + b"Content-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n")
    status, received = answer(connection)
    assert status == 413
    assert b"100 Continue" not in received
    assert b"connection: close" in received.lower()
    assert b"payload_too_large" in received
    assert time.monotonic() - started < AT_ONCE


@pytest.mark.parametrize(("start", "status"), [(PART, 413), (b"no form", 400)])
def test_an_endless_body_is_refused_while_it_arrives(
    connection: socket.socket, start: bytes, status: int
) -> None:
    """Of an endless body the server reads little more than its limit."""
    sent = 0

    def send() -> None:
        nonlocal sent
        with contextlib.suppress(OSError):
            connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
            connection.sendall(b"%x\r\n%s\r\n" % (len(start), start))
            while sent < 1_000_000_000:
                connection.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")
                sent += 0x10000

    sender = threading.Thread(target=send)
    sender.start()
    started = time.monotonic()
    received = connection.recv(65536)
    assert received.startswith(b"HTTP/1.1 %d " % status)
    assert b"connection: close" in received.lower()
    sender.join(PATIENCE)
    assert not sender.is_alive()
    # The rest was thrown away for a moment, and then the connection was closed.
    assert time.monotonic() - started < AT_ONCE
    assert sent < 64_000_000


def test_a_caller_who_sends_everything_first_still_reads_the_answer(server: LocalServer) -> None:
    """Without lingering the reset would overtake the answer for many clients."""
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
            size = 3_000_000
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % size)
            connection.sendall(PART + bytes(size - len(PART)))
            status, _ = answer(connection)
            assert status == 413


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 5000\r\n", b"Transfer-Encoding: chunked\r\n"]
)
def test_a_body_that_does_not_come_is_408(connection: socket.socket, framing: bytes) -> None:
    started = time.monotonic()
    connection.sendall(HEAD + framing + b"\r\n")
    status, received = answer(connection)
    assert status == 408
    assert b"upload_timeout" in received
    assert _TIMEOUT - 0.2 < time.monotonic() - started < AT_ONCE


def test_a_body_that_drips_is_408(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Content-Length: 5000\r\n\r\n")
    started = time.monotonic()
    try:
        for byte in PART:
            connection.sendall(bytes([byte]))
            time.sleep(0.1)
            if time.monotonic() - started > 2 * _TIMEOUT:
                break
    except OSError:
        pass
    status, _ = answer(connection)
    assert status == 408


def test_waiting_for_the_model_is_no_slow_upload(server: LocalServer) -> None:
    """The time for the body ends with the body."""
    with httpx.Client(base_url=server.client.base_url, timeout=PATIENCE) as client:
        response = client.post("/process-image", files={"file": blobs_as("PNG")})
        assert response.status_code == 200
        time.sleep(_TIMEOUT + 0.2)
        assert client.post("/process-image", files={"file": blobs_as("PNG")}).status_code == 200


def test_a_body_of_another_route_is_bounded_as_well(connection: socket.socket) -> None:
    connection.sendall(b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n")
    assert answer(connection)[0] == 413


def test_an_answer_that_needs_no_body_closes_too(server: LocalServer) -> None:
    """Nobody reads what still comes with a 404, so the connection cannot be used again."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        connection.sendall(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\nabc")
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 404")
        assert b"connection: close" in answer
    # A body that is all here keeps its connection, whether it was read or not.
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        connection.sendall(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        assert b"connection: close" not in connection.recv(65536)
    response = server.client.post("/process-image", files={"file": bytes(100)})
    assert response.status_code == 415
    assert "Connection" not in response.headers
    assert "Connection" not in server.client.get("/health").headers


def test_a_refused_body_leaves_the_server_in_order(server: LocalServer) -> None:
    for _ in range(3):
        response = server.client.post("/process-image", files={"file": bytes(400_000)})
        assert response.status_code == 413
    good = server.client.post("/process-image", files={"file": blobs_as("PNG")})
    assert good.status_code == 200


def test_the_limit_allows_for_the_form_around_the_file(make_server: MakeServer) -> None:
    data = blobs_as("PNG")
    server = make_server(max_file_size=len(data))
    fields = {f"field-{n}": "x" * 4000 for n in range(8)}
    response = server.client.post("/process-image", files={"file": data}, data=fields)
    assert response.status_code == 200
