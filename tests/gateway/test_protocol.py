"""HTTP itself: heads that are endless, slow or nonsense."""

import json
import socket
from collections.abc import Iterator

import pytest

from services.gateway import protocol
from tests.conftest import settings_for_tests
from tests.support.local import LocalServer, serving
from tests.support.patience import PATIENCE


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    settings = settings_for_tests(data_dir=tmp_path_factory.mktemp("data"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocol, "_HEAD_SECONDS", 0.5)
        with serving(settings) as server:
            yield server


@pytest.fixture
def connection(server: LocalServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        yield connection


def received(connection: socket.socket) -> bytes:
    data = b""
    try:
        while piece := connection.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    return data


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_nonsense_is_400_in_our_shape(connection: socket.socket, sent: bytes) -> None:
    connection.sendall(sent)
    head, _, body = received(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["error"]["code"] == "malformed_request"


def test_an_endless_head(connection: socket.socket) -> None:
    connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
    try:
        for number in range(2000):
            connection.sendall(b"X-%d: %s\r\n" % (number, b"v" * 1000))
    except OSError:
        return  # closed on us, and the answer went with it
    assert received(connection).startswith(b"HTTP/1.1 400 ")


def test_one_endless_header(connection: socket.socket) -> None:
    connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
    with pytest.raises(OSError):  # noqa: PT012 - any of them
        for _ in range(2000):
            connection.sendall(b"v" * 10_000)


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_head_that_does_not_come(connection: socket.socket, sent: bytes) -> None:
    connection.sendall(sent)
    assert received(connection) == b""


def test_an_idle_connection_may_stay_longer(connection: socket.socket) -> None:
    request = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    connection.sendall(request)
    assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    connection.settimeout(1)
    with pytest.raises(TimeoutError):
        connection.recv(1)
    connection.settimeout(PATIENCE)
    connection.sendall(request)
    assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_pipelined_requests(connection: socket.socket) -> None:
    request = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    last = request.replace(b"Host", b"Connection: close\r\nHost")
    connection.sendall(request * 3 + last)
    assert received(connection).count(b"HTTP/1.1 200") == 4


def test_a_large_but_reasonable_head(connection: socket.socket) -> None:
    connection.sendall(
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: %s\r\n\r\n"
        % (b"v" * 30_000)
    )
    assert received(connection).startswith(b"HTTP/1.1 200")


def test_no_websocket_here(connection: socket.socket) -> None:
    connection.sendall(
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert connection.recv(65536).startswith(b"HTTP/1.1 200")
