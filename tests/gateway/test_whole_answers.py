"""Answers in one piece: by the server's short way where it fits, and byte for byte as without."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from services.core.metrics import Metrics
from services.gateway.middleware.envelope import EnvelopeMiddleware
from services.gateway.protocol import GuardedHttpProtocol
from services.gateway.scope import ANSWER
from tests.support.patience import PATIENCE

SEEN: list[str] = []


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    path = scope["path"]
    if path == "/usual":
        scope.pop(ANSWER)

    async def slowly() -> Any:
        yield b"first"
        await asyncio.sleep(0.3)
        yield b"second"

    headers = {"/injected": {"X-Evil": "a\r\nSet-Cookie: b"}, "/closing": {"Connection": "close"}}
    answers: dict[str, Response] = {
        "/stream": StreamingResponse(slowly()),
        "/nothing": Response(status_code=204),
        "/large": Response(b"x" * 20_000_000),
    }
    response = answers.get(path) or JSONResponse({"a": [1, 2]}, headers=headers.get(path))
    await response(scope, receive, send)


async def popping(scope: Scope, receive: Receive, send: Send) -> None:
    """Take the short way away before the envelope can see it."""
    if scope["type"] == "http" and scope["path"] == "/usual":
        scope.pop(ANSWER)
        scope["path"] = "/"
    await EnvelopeMiddleware(app, Metrics())(scope, receive, send)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    config = uvicorn.Config(
        popping, http=GuardedHttpProtocol, lifespan="off", log_config=None, server_header=False
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join(PATIENCE)


def ask(port: int, path: str, method: str = "GET", extra: str = "", version: str = "1.1") -> bytes:
    """Ask once on a connection of its own, and return all that comes until it is closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        head = f"{method} {path} HTTP/{version}\r\nHost: x\r\n{extra}\r\n"
        connection.sendall(head.encode())
        return until_end(connection)


def until_end(connection: socket.socket) -> bytes:
    found = bytearray(connection.recv(1 << 20))
    # All that is left is on its way by then.
    connection.settimeout(1.2)
    try:
        while piece := connection.recv(1 << 20):
            found += piece
    except TimeoutError:
        pass
    return bytes(found)


def parts(answer: bytes) -> tuple[bytes, dict[bytes, bytes], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    return status, dict(line.split(b": ", 1) for line in lines), body


def test_the_short_way_says_the_same_as_the_usual_one(port: int) -> None:
    short, usual = parts(ask(port, "/")), parts(ask(port, "/usual"))
    changing = (b"x-request-id", b"x-process-time", b"date")
    for _, headers, _ in (short, usual):
        assert all(headers.pop(name, None) for name in changing)
    assert short == usual
    assert short[2] == b'{"a":[1,2]}'


def test_head_and_body_come_in_one_piece(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        for _ in range(20):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(1 << 16).endswith(b'{"a":[1,2]}')


def test_several_requests_at_once_are_answered_in_order(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        ids = [f"X-Request-ID: n{number}" for number in range(5)]
        connection.sendall(
            b"".join(f"GET / HTTP/1.1\r\nHost: x\r\n{one}\r\n\r\n".encode() for one in ids)
        )
        found = until_end(connection)
    assert [found.find(f"x-request-id: n{number}".encode()) for number in range(5)] == sorted(
        found.find(f"x-request-id: n{number}".encode()) for number in range(5)
    )
    assert found.count(b"HTTP/1.1 200") == 5


def test_a_head_request_gets_no_body(port: int) -> None:
    status, headers, body = parts(ask(port, "/", "HEAD"))
    assert status.startswith(b"HTTP/1.1 200")
    assert headers[b"content-length"] == b"11"
    assert body == b""


def test_a_connection_that_is_to_close_closes(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        found = bytearray()
        while piece := connection.recv(1 << 16):
            found += piece
    assert b"connection: close" in found
    assert found.endswith(b'{"a":[1,2]}')


def test_an_answer_that_closes_its_connection(port: int) -> None:
    assert parts(ask(port, "/closing"))[1][b"connection"] == b"close"


def test_an_older_client_is_answered(port: int) -> None:
    status, _, body = parts(ask(port, "/", version="1.0"))
    assert b" 200" in status
    assert body == b'{"a":[1,2]}'


def test_no_header_can_carry_another(port: int) -> None:
    found = ask(port, "/injected")
    assert b"Set-Cookie" not in found
    assert found.startswith(b"HTTP/1.1 500")


def test_a_stream_begins_before_it_ends(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        begun = b""
        while b"first" not in begun:
            begun += connection.recv(1 << 16)
        assert b"second" not in begun
        assert b"second" in until_end(connection)


def test_an_answer_without_a_body(port: int) -> None:
    status, headers, body = parts(ask(port, "/nothing"))
    assert status.startswith(b"HTTP/1.1 204")
    assert b"content-length" not in headers
    assert body == b""


def test_a_large_answer_to_a_slow_reader_is_whole(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        for _ in range(2):
            connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        size = 0
        while size < 40_000_000 and (piece := connection.recv(1 << 16)):
            size += len(piece)
    assert size >= 40_000_000
