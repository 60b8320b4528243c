"""A server that webhooks are posted to: it keeps what came, and answers as it is told."""

import base64
import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.patience import PATIENCE


@dataclass(frozen=True)
class Post:
    """One request, as it arrived; the names of its headers in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def signed_by(self, key: bytes) -> bool:
        """Verify as standardwebhooks.com has it, from nothing but what arrived."""
        about = self.headers
        said = (about["webhook-id"].encode(), about["webhook-timestamp"].encode(), self.body)
        expected = base64.b64encode(hmac.new(key, b".".join(said), hashlib.sha256).digest())
        given = [one.split(",", 1) for one in about["webhook-signature"].split(" ")]
        return any(version == "v1" and found.encode() == expected for version, found in given)


class Receiver(ThreadingHTTPServer):
    """Listens on the loopback; `answer` gives the status for the so-manieth post (from 0)."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer: Callable[[int], int]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.posts: list[Post] = []
        self.lock = threading.Lock()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.server.lock:
            number = len(self.server.posts)
            self.server.posts.append(Post(self.path, headers, body, time.time()))
        status = self.server.answer(number)
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", self.server.url("/elsewhere"))
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def receiving(answer: Callable[[int], int] = lambda number: 204) -> Iterator[Receiver]:
    """Have one for the block."""
    server = Receiver(answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(PATIENCE)
        server.server_close()
