"""Folders for the metrics of processes that belong together, and what is left of earlier ones."""

import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.core.metering.identity import alive, identity
from services.core.settings import Settings

_FOLDER = "metrics"
# What another machine has left in a DATA_DIR that several use.
_OLD_SECONDS = 7 * 86_400.0


@contextmanager
def own_folder(settings: Settings) -> Iterator[Path]:
    """Make a folder in DATA_DIR for the block, and remove what was killed has left.

    Each has one of its own: several may use the same DATA_DIR, on several machines even, and
    processes of two machines must not share one, for neither sees whether the other's live.
    """
    home = settings.data_dir.absolute() / _FOLDER
    _sweep(home)
    own = home / f"{socket.gethostname()}-{identity()}"
    own.mkdir(parents=True, exist_ok=True)
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _sweep(home: Path) -> None:
    for path in home.iterdir() if home.is_dir() else ():
        host, _, began = path.name.rpartition("-")
        host, _, number = host.rpartition("-")
        dead = host == socket.gethostname() and not alive(f"{number}-{began}")
        if dead or time.time() - _used(path) > _OLD_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def _used(folder: Path) -> float:
    """Return when something in there last changed; who lives writes every second."""
    return max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
