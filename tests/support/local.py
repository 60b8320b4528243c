"""A gateway in a thread of this process, behind a real socket."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from services.core.settings import Settings
from services.gateway.app import create_app
from services.gateway.server import make_server
from tests.support.blobs import BlobFamily

_SECONDS = 30.0


class LocalServer:
    """A running gateway: its application, its address and a client."""

    def __init__(self, settings: Settings, family: BlobFamily) -> None:
        self.app = create_app(settings, {"blobs": family})
        self._server = make_server(self.app, settings)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=_SECONDS)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listener]}
        )
        self._thread.start()

    def wait_ready(self) -> None:
        """Wait until the model is ready, or has failed."""
        for _ in range(1000):
            if self.client.get("/health").json()["status"] != "starting":
                return
        raise AssertionError("the model did not load")

    def stop(self) -> None:
        """End it."""
        self.client.close()
        self._server.should_exit = True
        self._thread.join(_SECONDS)
        assert not self._thread.is_alive()
        self._listener.close()


@contextmanager
def serving(
    settings: Settings, family: BlobFamily | None = None, *, ready: bool = True
) -> Iterator[LocalServer]:
    """Run a gateway for as long as the block lasts."""
    server = LocalServer(settings, family or BlobFamily())
    try:
        if ready:
            server.wait_ready()
        yield server
    finally:
        server.stop()
