"""A real HTTP server of one file, with ranges, and with the faults that downloads meet."""

import re
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from tests.support.patience import PATIENCE


@dataclass
class FileServer:
    """Serves `body` on 127.0.0.1.

    Attributes:
        cuts: for each answer to come, after how many bytes the connection is cut (None: never).
        statuses: statuses to answer with before the file is served at all.
        announced: a total size that is not true, in Content-Range.
        seen: the Range header of each request so far.
    """

    body: bytes
    etag: str | None = '"one"'
    ranges: bool = True
    cuts: deque[int | None] = field(default_factory=deque)
    statuses: deque[int] = field(default_factory=deque)
    announced: int | None = None
    stall: threading.Event | None = None
    seen: list[str | None] = field(default_factory=list)

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"file": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.stall:
            self.stall.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/weights.pth"


class _Handler(BaseHTTPRequestHandler):
    file: FileServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        return

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.file.seen.append(asked)
        if self.file.statuses:
            self._empty(self.file.statuses.popleft())
            return
        start = self._start(asked)
        if start is not None and start >= len(self.file.body):
            self._empty(416)
            return
        content = self.file.body[start or 0 :]
        self.send_response(200 if start is None else 206)
        if start is not None:
            total = self.file.announced or len(self.file.body)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if self.file.etag:
            self.send_header("ETag", self.file.etag)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self._send(content)

    def _start(self, asked: str | None) -> int | None:
        condition = self.headers.get("If-Range")
        if not asked or not self.file.ranges or (condition and condition != self.file.etag):
            return None
        found = re.fullmatch(r"bytes=(\d+)-", asked)
        return int(found[1]) if found else None

    def _empty(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, content: bytes) -> None:
        cut = self.file.cuts.popleft() if self.file.cuts else None
        self.wfile.write(content if cut is None else content[:cut])
        self.wfile.flush()
        if self.file.stall:
            self.file.stall.wait(PATIENCE)
        if cut is not None:
            self.close_connection = True
