"""The programs of `slipway run`: gateway, shipper, workers, and the servers that they need."""

import fcntl
import os
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import httpx

from services.cli.supervisor import redis
from services.cli.supervisor.metrics import told
from services.cli.supervisor.places import LOCAL, check_free, log_of
from services.cli.supervisor.program import Program
from services.cli.supervisor.redis import REDIS
from services.cli.supervisor.workers import worker_programs
from services.core import embedded
from services.core.errors import ConfigurationError
from services.core.metering.sharing import VARIABLE
from services.core.settings import Settings

_EVERYWHERE = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 -- compared, not listened on
_PROBE_SECONDS = 2.0
_LOADING_SECONDS = 20.0
# Over what the gateway itself takes to drain.
_DRAIN_MARGIN = 5.0
_SEED_NICENESS = _LEDGER_NICENESS = 10
GATEWAY, LEDGER, MLFLOW, SEED = "gateway", "ledger", "mlflow", "demo models"


def programs(
    settings: Settings,
    *,
    mlflow: bool,
    seed: bool,
    workers: bool = True,
    metrics: Path | None = None,
) -> list[Program]:
    """Return what to run, the gateway first.

    Args:
        metrics: folder in which our processes keep their metrics; None: in their memory.

    Raises:
        ConfigurationError: a program is not installed, or its port is taken.
    """
    # Options of the command line are in the settings only.
    environment = os.environ | {"HOST": settings.host, "PORT": str(settings.port)}
    # MLflow uses the same library, and is not one of ours.
    environment.pop(VARIABLE, None)
    measured = {} if metrics is None else told(metrics)
    helpers: list[Program] = []
    if mlflow:
        helpers.append(_mlflow(settings, environment))
        environment["MLFLOW_TRACKING_URI"] = mlflow_address(settings)
    helpers += _redis(settings, environment)
    if mlflow and seed:
        helpers.append(_seed(environment))
    if ships(settings):
        helpers.append(_ledger(settings, environment | measured))
        environment["LEDGER_SHIPPER"] = "off"
    if workers and settings.jobs:
        # After the gateway: what they import would hold up its start.
        after = [GATEWAY, *(one.name for one in helpers if one.name == REDIS)]
        made = worker_programs(settings, environment | measured, tuple(after))
        helpers += reversed(made)
    # Stopped in this order: what uses the others goes before them.
    return [_gateway(settings, environment | measured), *reversed(helpers)]


def mlflow_address(settings: Settings) -> str:
    """Return the address of the embedded MLflow."""
    return f"http://{LOCAL}:{settings.mlflow_port}"


def carries_jobs(settings: Settings) -> bool:
    """Return whether a Redis of our own carries jobs."""
    return settings.jobs and settings.redis_url is None


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
                expected="another folder, PORT, MLFLOW_PORT and REDIS_PORT for a second one",
            ) from error
        yield


def _mlflow(settings: Settings, environment: Mapping[str, str]) -> Program:
    check_free(settings.mlflow_port, "MLFLOW_PORT")
    home = embedded.folder(settings.data_dir)
    artifacts = embedded.artifact_root(settings.data_dir)
    artifacts.mkdir(parents=True, exist_ok=True)
    _write_ahead(home / "mlflow.db")
    command = (
        sys.executable, "-m", "mlflow", "server",
        "--host", LOCAL, "--port", str(settings.mlflow_port), "--workers", "1",
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
        return await _asked(f"{address}/health") is not None

    return Program(MLFLOW, command, own, log=log_of(settings, MLFLOW), ready=ready)


def _redis(settings: Settings, environment: dict[str, str]) -> list[Program]:
    """Return the Redis servers that are needed; what uses them finds them in the environment."""
    found = []
    if carries_jobs(settings):
        found.append(redis.broker(settings, dict(environment)))
        environment["REDIS_URL"] = redis.address(settings)
    if _wants_cache(settings):
        program, environment["CACHE_REDIS_URL"] = redis.cache(settings, dict(environment))
        found.append(program)
    return found


def _wants_cache(settings: Settings) -> bool:
    elsewhere = settings.cache_redis_url or settings.redis_url
    return settings.cache == "redis" and elsewhere is None


def _gateway(settings: Settings, environment: Mapping[str, str]) -> Program:
    host = LOCAL if settings.host in _EVERYWHERE else settings.host
    address = f"http://[{host}]" if ":" in host else f"http://{host}"

    first: float | None = None

    async def ready() -> bool:
        nonlocal first
        said = await _asked(f"{address}:{settings.port}/health")
        if said is None:
            return False
        first = first or time.monotonic()
        # Workers that start while it loads models would slow it down; where there are none to
        # load, one may be trained.
        return said.json()["status"] != "starting" or time.monotonic() - first > _LOADING_SECONDS

    return Program(
        GATEWAY,
        (sys.executable, "-m", "services.gateway"),
        dict(environment),
        grace=settings.shutdown_delay + settings.shutdown_grace + _DRAIN_MARGIN,
        # On a port of the system's choice nobody knows where to ask.
        ready=ready if settings.port else None,
    )


def _seed(environment: Mapping[str, str]) -> Program:
    command = (sys.executable, "-m", "services.cli", "seed-models")
    return Program(
        SEED, command, dict(environment), once=True, niceness=_SEED_NICENESS, after=(MLFLOW,)
    )


def _ledger(settings: Settings, environment: Mapping[str, str]) -> Program:
    # It waits for nobody: records are indexed while MLflow is still starting, or not at all.
    return Program(
        LEDGER,
        (sys.executable, "-m", "services.ledger"),
        dict(environment),
        log=log_of(settings, LEDGER),
        niceness=_LEDGER_NICENESS,
    )


async def _asked(address: str) -> httpx.Response | None:
    """Return a good answer; None where there is none."""
    try:
        async with httpx.AsyncClient(timeout=_PROBE_SECONDS, trust_env=False) as client:
            said = await client.get(address)
    except httpx.HTTPError:
        return None
    return said if said.is_success else None


def _write_ahead(database: Path) -> None:
    """Let readers and a writer work side by side; MLflow leaves SQLite's slower default."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
