"""A real Alertmanager of the tests' own, and somebody who receives what it sends.

Where the program is missing (Debian: `prometheus-alertmanager`), tests that want it are skipped
with a notice, and fail under CI=true.
"""

import json
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.prometheus import SECONDS, Daemon


class AlertmanagerServer(Daemon):
    """An Alertmanager with a configuration; started when it is made.

    Attributes:
        address: `host:port`, for Prometheus.
    """

    names = ("prometheus-alertmanager", "alertmanager")

    def __init__(self, folder: Path, config: str) -> None:
        super().__init__(folder)
        self.address = f"127.0.0.1:{self.port}"
        self.config = folder / "alertmanager.yml"
        self.config.write_text(config, encoding="utf-8")
        self.start()

    def arguments(self) -> list[str]:
        return [
            f"--config.file={self.config}",
            f"--web.listen-address={self.address}",
            f"--storage.path={self.folder / 'data'}",
            # One alone; without this it opens a second port for its neighbours.
            "--cluster.listen-address=",
        ]

    def tell(self, *alerts: dict[str, str]) -> None:
        """Let alerts with these labels fire."""
        answer = self.client.post("/api/v2/alerts", json=[{"labels": labels} for labels in alerts])
        assert answer.is_success, answer.text

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that it has: `labels`, `status`, `receivers`."""
        found: list[dict[str, Any]] = self.ask("/api/v2/alerts")
        return found


@dataclass(frozen=True, slots=True)
class Notice:
    """One alert in a message: when it came (Unix time), to which path, and what it says."""

    time: float
    path: str
    receiver: str
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    message: dict[str, Any] = field(repr=False)


class Receiver(AbstractContextManager["Receiver"]):
    """A small web server that Alertmanager's webhooks go to.

    Attributes:
        url: where they are sent.
        notices: what came, an entry for each alert of each message, oldest first.
    """

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        taken = self.notices

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                taken.extend(_notices(self.path, json.loads(body)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def wait(
        self, wanted: Callable[[Notice], object], seconds: float = SECONDS, since: float = 0.0
    ) -> Notice:
        """Return the first notice that is wanted, and wait for it; those before `since` count not.

        Raises:
            AssertionError: it did not come.
        """
        until = time.monotonic() + seconds
        while True:
            for notice in list(self.notices):
                if notice.time >= since and wanted(notice):
                    return notice
            assert time.monotonic() < until, self.notices
            time.sleep(0.05)


def _notices(path: str, message: dict[str, Any]) -> list[Notice]:
    now = time.time()
    return [
        Notice(
            time=now,
            path=path,
            receiver=message["receiver"],
            status=alert["status"],
            labels=alert["labels"],
            annotations=alert["annotations"],
            message=message,
        )
        for alert in message["alerts"]
    ]
