"""`GET /metrics` of a worker that has no gateway beside it (WORKER_METRICS_PORT)."""

import threading
from http.server import BaseHTTPRequestHandler
from socket import AF_INET, AF_INET6
from socketserver import TCPServer
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from services.core.errors import ConfigurationError
from services.core.metering.machine_collector import MachineCollector
from services.core.metering.rendering import Renderer
from services.core.metering.together import Together
from services.core.settings import Settings

_CLIENT_SECONDS = 5.0
_CLOSE_SECONDS = 2.0


class MetricsPort:
    """Serves the folder's metrics on HOST, one request after the other.

    Raises:
        ConfigurationError: the port is taken, or the settings name no folder.
    """

    def __init__(self, settings: Settings, port: int) -> None:
        assert settings.prometheus_multiproc_dir is not None
        registry = CollectorRegistry()
        registry.register(Together(settings.prometheus_multiproc_dir))
        registry.register(MachineCollector(settings))
        try:
            self._server = _server(settings.host)((settings.host, port), _handler(registry))
        except OSError as error:
            raise ConfigurationError(
                f"Port {port} of {settings.host} cannot be opened: {error.strerror}.",
                where="WORKER_METRICS_PORT",
                expected="a free port, another for each worker of this machine",
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="metrics-port", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._thread.join(_CLOSE_SECONDS)
        self._server.server_close()


def _server(host: str) -> type[TCPServer]:
    class Server(TCPServer):
        address_family = AF_INET6 if ":" in host else AF_INET
        allow_reuse_address = True

    return Server


def _handler(registry: CollectorRegistry) -> type[BaseHTTPRequestHandler]:
    renderer = Renderer()

    class Handler(BaseHTTPRequestHandler):
        # One that says nothing must not keep the others waiting for ever.
        timeout = _CLIENT_SECONDS

        def do_GET(self) -> None:
            found = self.path.partition("?")[0] == "/metrics"
            content = renderer.text(registry.collect()) if found else b"GET /metrics\n"
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", CONTENT_TYPE_LATEST if found else "text/plain")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: a line for every scrape tells nobody anything."""

    return Handler
