"""`slipway models pull`: fetch weights that Slipway may not ship, licence and all."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from services.cli.console import UsageError, err, out
from services.cli.weights.catalogue import Checkpoint, find
from services.cli.weights.download import Patience
from services.cli.weights.install import Installed, Order, install, present
from services.cli.weights.progress import ProgressDisplay
from services.core.settings import get_settings

# Tests shorten this; a person waits 1, 2, 4 … seconds between attempts.
FIRST_WAIT = 1.0


def pull(
    name: Annotated[str, typer.Argument(help="What to pull: cutler.")],
    file: Annotated[
        Path | None,
        typer.Option(help="Install this local copy instead of downloading.", exists=True,
                     dir_okay=False),
    ] = None,
    accept_license: Annotated[
        bool, typer.Option("--accept-license", help="Accept the licence without being asked.")
    ] = False,
    dest: Annotated[
        Path | None, typer.Option(help="Folder; by default DATA_DIR/models/NAME.", file_okay=False)
    ] = None,
    url: Annotated[str | None, typer.Option(help="Address of a mirror.")] = None,
    sha256: Annotated[str | None, typer.Option(help="Checksum that the file must have.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is installed.")] = False,
    attempts: Annotated[int, typer.Option(min=1, help="Tries that may bring nothing.")] = 5,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds of silence allowed.")] = 30.0,
) -> None:  # fmt: skip
    """Download weights (resumable), or install a local copy, and say how to serve them."""
    checkpoint = find(name)
    if url is not None and not url.startswith(("http://", "https://")):
        raise UsageError("This is not an address.", where="--url", expected="http(s)://…")
    order = Order(
        checkpoint=checkpoint,
        folder=(dest or get_settings().data_dir / "models" / checkpoint.name).absolute(),
        file=file,
        url=url,
        sha256=sha256,
        force=force,
        patience=Patience(attempts=attempts, first_wait=FIRST_WAIT),
        timeout=timeout,
    )
    _agree(checkpoint, accepted=accept_license)
    installed = present(order)
    if installed is None:
        with ProgressDisplay(err, checkpoint.file) as display:
            installed = install(order, display)
    _tell(installed)


def _agree(checkpoint: Checkpoint, *, accepted: bool) -> None:
    """Show the licence and have it accepted.

    Raises:
        UsageError: it was declined, or there is nobody to ask.
    """
    licence = checkpoint.licence
    err.print(f"{checkpoint.title} is licensed {licence.name}: {licence.url}")
    for term in licence.terms:
        err.print(f"  - {term}")
    if accepted:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            f"The licence {licence.name} has to be accepted.",
            where=f"models pull {checkpoint.name}",
            expected="--accept-license, as there is nobody to ask",
        )
    if not typer.confirm("Do you accept it?", err=True):
        raise UsageError(f"The licence {licence.name} was not accepted; nothing was fetched.")


def _tell(installed: Installed) -> None:
    note = installed.record
    did = "installed" if installed.fresh else "already here, and verified"
    err.print(f"{did}: {note.size:,} bytes, sha256 {note.sha256}")
    err.print("Serve it with these settings:")
    out.print(f"MODEL_PATH={installed.weights}")
    out.print(f"CONFIG_PATH={installed.config}")
