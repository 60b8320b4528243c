"""A proxy before MLflow that does not take every file."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

import httpx

from tests.support.patience import PATIENCE

_HOP = {"connection", "transfer-encoding", "content-encoding", "content-length", "host"}


class PickyProxy:
    """Passes everything on, except uploads over a size: those get a status of its own.

    Attributes:
        most_bytes: of a PUT.
        uri: its address.
    """

    def __init__(self, target: str, *, most_bytes: int, status: int = 413) -> None:
        self.most_bytes = most_bytes
        self.status = status
        self._client = httpx.Client(base_url=target, trust_env=False, timeout=PATIENCE)
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _handle(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.command == "PUT" and len(body) > proxy.most_bytes:
                    answer = httpx.Response(proxy.status, content=b"not this one")
                else:
                    headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
                    answer = proxy._client.request(
                        self.command, self.path, content=body, headers=headers
                    )
                self.send_response(answer.status_code)
                for name, value in answer.headers.items():
                    if name.lower() not in _HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _handle

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> "PickyProxy":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._client.close()
