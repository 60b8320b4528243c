"""`slipway run`: start the service."""

import shlex
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import services
from services.cli.console import err
from services.core.settings import load_settings

if TYPE_CHECKING:
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
) -> None:
    """Start Slipway here and serve until Ctrl-C or SIGTERM."""
    chosen = {"host": host, "port": port}
    settings = load_settings(**{name: value for name, value in chosen.items() if value is not None})
    for line in banner(settings):
        err.print(line)
    import_module(_GATEWAY).serve(settings)


def banner(settings: "Settings") -> list[str]:
    """Return what a person needs to know while the service starts, to be copied as it stands."""
    if settings.port == 0:
        return ['Slipway is starting on a free port; the log\'s line "listening" names it.', ""]
    address = _address(settings.host, settings.port)
    photo = shlex.quote(f"file=@{_sample()}")
    return [
        f"Slipway is starting on {address}",
        f"  documentation  {address}/docs",
        f"  ready when     {address}/health/ready answers 200",
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
