"""A gateway in a thread of this process, behind a real socket."""

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from services.core.settings import Settings
from services.families.base import Family
from services.gateway.app import create_app
from services.gateway.server import make_server
from tests.support.blobs import BlobFamily
from tests.support.patience import PATIENCE

Families = Family | Mapping[str, Family] | None


class LocalServer:
    """A running gateway: its application, its address and a client."""

    def __init__(self, settings: Settings, families: Families = None) -> None:
        families = families or BlobFamily()
        if isinstance(families, Family):
            families = {families.name: families}
        self.app = create_app(settings, families)
        self._server = make_server(self.app, settings)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=PATIENCE)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listener]}
        )
        self._thread.start()

    def wait_ready(self) -> None:
        """Wait until the models are ready, or have failed."""
        self._wait(lambda: self.client.get("/health").json()["status"] != "starting")

    def wait_serving(self, name: str, version: str, seconds: float = PATIENCE) -> float:
        """Wait until a version serves; return how long that took, in seconds."""
        started = time.monotonic()
        self._wait(lambda: self.model(name)["serving_version"] == version, seconds)
        return time.monotonic() - started

    def model(self, name: str) -> dict[str, Any]:
        """Return a model as `GET /models` lists it; empty values if it does not."""
        listed = self.client.get("/models").json()["models"]
        nothing: dict[str, Any] = {"serving_version": None, "failure": None}
        return next((model for model in listed if model["name"] == name), nothing)

    def stop(self) -> None:
        """End it."""
        self.client.close()
        self._server.should_exit = True
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        self._listener.close()

    def _wait(self, condition: Any, seconds: float = PATIENCE) -> None:
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, self.client.get("/health").text
            time.sleep(0.01)


@contextmanager
def serving(
    settings: Settings, families: Families = None, *, ready: bool = True
) -> Iterator[LocalServer]:
    """Run a gateway for as long as the block lasts: with the blob family, or those given."""
    server = LocalServer(settings, families)
    try:
        if ready:
            server.wait_ready()
        yield server
    finally:
        server.stop()
