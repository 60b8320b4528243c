"""`slipway run`: start the service, and around it what it needs and does not have."""

import asyncio
import shlex
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import services
from services.cli.console import err
from services.core.settings import load_settings

if TYPE_CHECKING:
    from services.cli.supervisor.program import Program
    from services.core.settings import Settings

_CHECKOUT = Path(services.__file__).parents[1]
_SAMPLE = Path("docs", "samples", "photo.jpg")
# The gateway is started by name: doors do not import each other.
_GATEWAY = "services.gateway.server"


def run(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; overrides HOST.", show_default=False)
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port; overrides PORT.", show_default=False),
    ] = None,
    gateway_only: Annotated[
        bool,
        typer.Option(
            "--gateway-only", help="Start one process alone: no MLflow, Redis, shipper, workers."
        ),
    ] = False,
    workers: Annotated[
        bool,
        typer.Option("--workers/--no-workers", help="Start the processes that do jobs."),
    ] = True,
    seed: Annotated[
        bool,
        typer.Option(
            "--seed/--no-seed", help="Train and register the demo models that are missing."
        ),
    ] = True,
) -> None:
    """Start Slipway here and serve until Ctrl-C or SIGTERM.

    Without MLFLOW_TRACKING_URI an MLflow server is started as well, on MLFLOW_PORT, with its data
    in DATA_DIR; without REDIS_URL a Redis, on REDIS_PORT; a worker for each queue of jobs, unless
    JOBS=false; and always a process that takes the records of predictions to MLflow. What was
    queued when it was stopped goes on at the next start.
    """
    chosen = {"host": host, "port": port}
    settings = load_settings(**{name: value for name, value in chosen.items() if value is not None})
    mlflow = settings.mlflow_tracking_uri is None and not gateway_only
    redis = settings.jobs and settings.redis_url is None and not gateway_only
    for line in banner(settings, mlflow=mlflow, redis=redis):
        err.print(line)
    if not gateway_only and (mlflow or redis or (settings.jobs and workers) or _ships(settings)):
        raise typer.Exit(_run_all(settings, mlflow=mlflow, seed=seed, workers=workers))
    import_module(_GATEWAY).serve(settings)


def _run_all(settings: "Settings", *, mlflow: bool, seed: bool, workers: bool) -> int:
    from services.cli.supervisor import redis
    from services.cli.supervisor.embedded import carries_jobs, mlflow_address, programs, sole_use
    from services.cli.supervisor.metrics import shared_folder
    from services.core import embedded

    addresses: dict[str, str] = {}
    if mlflow:
        addresses[embedded.MLFLOW] = mlflow_address(settings)
    if carries_jobs(settings):
        addresses[embedded.REDIS] = redis.address(settings)
    # Servers of our own write in this folder: only one of each may.
    with (
        sole_use(settings.data_dir) if addresses else nullcontext(),
        shared_folder(settings) as metrics,
    ):
        found = programs(settings, mlflow=mlflow, seed=seed, workers=workers, metrics=metrics)
        for server, address in addresses.items():
            embedded.announce(settings.data_dir, address, server)
        try:
            return _supervise(found)
        finally:
            for server in addresses:
                embedded.withdraw(settings.data_dir, server)


def _supervise(found: "list[Program]") -> int:
    from services.cli.supervisor.supervisor import Supervisor

    supervisor = Supervisor(found, lambda text: err.print(f"slipway: {text}"))
    return asyncio.run(supervisor.run())


def _ships(settings: "Settings") -> bool:
    from services.cli.supervisor.embedded import ships

    return ships(settings)


def banner(settings: "Settings", *, mlflow: bool = False, redis: bool = False) -> list[str]:
    """Return what a person needs to know while the service starts, to be copied as it stands."""
    if settings.port == 0:
        return ['Slipway is starting on a free port; the log\'s line "listening" names it.', ""]
    address = _address(settings.host, settings.port)
    photo = shlex.quote(f"file=@{_sample()}")
    lines = [
        f"Slipway is starting on {address}",
        f"  documentation  {address}/docs",
        f"  ready when     {address}/health/ready answers 200",
        f"  models         {address}/models",
    ]
    if mlflow:
        lines.append(f"  MLflow         http://127.0.0.1:{settings.mlflow_port}")
    if redis:
        lines.append(f"  Redis          redis://127.0.0.1:{settings.redis_port}/0")
    return [
        *lines,
        "Find the objects of a photo:",
        f"  curl -sS -F {photo} {address}/process-image -o answer.json",
        "Look at them:",
        "  python3 -c \"import base64, json; answer = json.load(open('answer.json'));"
        " open('annotated.jpg', 'wb').write(base64.b64decode(answer['image']));"
        " print(answer['num_instances'], 'objects in annotated.jpg')\"",
        "Ctrl-C stops it.",
        "",
    ]


def _address(host: str, port: int) -> str:
    """Return an address that works in a browser on this machine."""
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104 -- compared, not listened on
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _sample() -> Path:
    """Return the path of the sample photo as seen from here, or a stand-in outside a checkout."""
    if _SAMPLE.exists():
        return _SAMPLE
    installed = _CHECKOUT / _SAMPLE
    return installed if installed.exists() else Path("YOUR_PHOTO.jpg")
