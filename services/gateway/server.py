"""Runs the application under uvicorn, and lets it end without failing anybody's request."""

import gc
import math
import signal
import socket
import time
from collections.abc import Mapping
from types import FrameType

import uvicorn
from fastapi import FastAPI

from services.core.errors import ConfigurationError
from services.core.logging import configure_logging, get_logger
from services.core.metering.reporting import sweep
from services.core.metering.sharing import share
from services.core.settings import Settings
from services.engine.engine import Engine
from services.families.base import Family
from services.gateway.app import create_app
from services.gateway.protocol import GuardedHttpProtocol
from services.ledger.journal import check_writable

_log = get_logger(__name__)
# Longer than a proxy in front keeps idle connections (nginx: 60), so that it closes them first.
_KEEP_ALIVE_SECONDS = 75
_BACKLOG = 2048
# A collection for every 700 objects, Python's habit, comes several times among a few hundred
# requests under way, and finds all their objects in use.
_COLLECT_AFTER = 20_000


def serve(settings: Settings, families: Mapping[str, Family] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; returns when the last request has been answered.

    Raises:
        ConfigurationError: the port is taken, or a setting does not fit.
    """
    configure_logging(settings.effective_log_level, settings.log_format)
    gc.set_threshold(_COLLECT_AFTER)
    share(settings.prometheus_multiproc_dir)
    sweep()
    app = create_app(settings, families)
    if settings.ledger:
        check_writable(settings)
    with _listen(settings.host, settings.port) as listener:
        host, port = listener.getsockname()[:2]
        _log.info("listening", host=host, port=port)
        make_server(app, settings).run(sockets=[listener])


def make_server(app: FastAPI, settings: Settings) -> "DrainingServer":
    """Return uvicorn, configured for an application of `create_app`."""
    config = uvicorn.Config(
        app.state.front,
        http=GuardedHttpProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=settings.forwarded_allow_ips is not None,
        forwarded_allow_ips=settings.forwarded_allow_ips or "",
        limit_concurrency=settings.max_connections,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(settings.shutdown_grace),
    )
    return DrainingServer(config, app.state.engine, settings.shutdown_delay)


class DrainingServer(uvicorn.Server):
    """Answers 503 on readiness first, closes its door then, and ends with exit code 0."""

    def __init__(self, config: uvicorn.Config, engine: Engine, delay: float) -> None:
        super().__init__(config)
        self._engine = engine
        self._delay = delay
        self._door_closes: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; a second signal ends without waiting.

        uvicorn's own handler would raise the signal again at the end, and the process would be
        seen to die of it.
        """
        if self._door_closes is not None:
            self.should_exit = self.force_exit = True
            return
        # A person at the terminal does not wait for a load balancer.
        delay = 0.0 if sig == signal.SIGINT else self._delay
        self._door_closes = time.monotonic() + delay

    async def on_tick(self, counter: int) -> bool:
        """Say that the end is near, and close the door once the delay is over."""
        if self._door_closes is not None:
            # Here and not in the signal's handler, which may interrupt the logging it would do.
            self._engine.begin_shutdown()
            self.should_exit = self.should_exit or time.monotonic() >= self._door_closes
        return await super().on_tick(counter)


def _listen(host: str, port: int) -> socket.socket:
    """Bind here rather than in uvicorn, whose own failure is a bare exit of the process."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, number, _, address = found[0]
        listener = socket.socket(family, kind, number)
    except OSError as error:
        raise ConfigurationError(
            "The address to listen on does not exist here.",
            where="HOST",
            expected="an address of this machine, such as 127.0.0.1 or 0.0.0.0",
        ) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"Port {port} of {host} cannot be opened: {error.strerror}.",
            where="PORT",
            expected="a free port",
        ) from error
    return listener
