"""`slipway run`: start the service, and around it what it needs and does not have."""

import asyncio
import shlex
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
        typer.Option("--gateway-only", help="Start one process alone: no MLflow, no shipper."),
    ] = False,
    seed: Annotated[
        bool,
        typer.Option(
            "--seed/--no-seed", help="Train and register the demo models that are missing."
        ),
    ] = True,
) -> None:
    """Start Slipway here and serve until Ctrl-C or SIGTERM.

    Without MLFLOW_TRACKING_URI an MLflow server is started as well, on MLFLOW_PORT, with its data
    in DATA_DIR; and always a process that takes the records of predictions to MLflow.
    """
    chosen = {"host": host, "port": port}
    settings = load_settings(**{name: value for name, value in chosen.items() if value is not None})
    mlflow = settings.mlflow_tracking_uri is None and not gateway_only
    for line in banner(settings, mlflow=mlflow):
        err.print(line)
    if mlflow:
        raise typer.Exit(_run_with_mlflow(settings, seed=seed))
    if not gateway_only and _ships(settings):
        raise typer.Exit(_run_beside(settings))
    import_module(_GATEWAY).serve(settings)


def _run_with_mlflow(settings: "Settings", *, seed: bool) -> int:
    from services.cli.supervisor.embedded import mlflow_address, programs, sole_use
    from services.core import embedded

    with sole_use(settings.data_dir):
        found = programs(settings, mlflow=True, seed=seed)
        embedded.announce(settings.data_dir, mlflow_address(settings))
        try:
            return _supervise(found)
        finally:
            embedded.withdraw(settings.data_dir)


def _run_beside(settings: "Settings") -> int:
    """Run with somebody else's MLflow."""
    from services.cli.supervisor.embedded import programs

    return _supervise(programs(settings, mlflow=False, seed=False))


def _supervise(found: "list[Program]") -> int:
    from services.cli.supervisor.supervisor import Supervisor

    supervisor = Supervisor(found, lambda text: err.print(f"slipway: {text}"))
    return asyncio.run(supervisor.run())


def _ships(settings: "Settings") -> bool:
    from services.cli.supervisor.embedded import ships

    return ships(settings)


def banner(settings: "Settings", *, mlflow: bool = False) -> list[str]:
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
