"""Where the embedded MLflow keeps its things, and whether it is running: paths and one small file.

`slipway run` starts it on `DATA_DIR/mlflow`; every other command uses the running server, or the
same database and files directly when none runs. Artifacts lie in a folder that both reach.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Running:
    """The embedded server that runs now: its address, and the process that looks after it."""

    uri: str
    pid: int


def folder(data_dir: Path) -> Path:
    """Return the folder of the embedded MLflow."""
    return data_dir.absolute() / "mlflow"


def database_uri(data_dir: Path) -> str:
    """Return the address of the embedded MLflow's database."""
    return f"sqlite:///{folder(data_dir) / 'mlflow.db'}"


def artifact_root(data_dir: Path) -> Path:
    """Return the folder under which the embedded MLflow keeps runs' files."""
    return folder(data_dir) / "artifacts"


def announce(data_dir: Path, uri: str) -> None:
    """Say that a server at `uri`, looked after by this process, serves the database."""
    place = _place(data_dir)
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_suffix(".new")
    draft.write_text(json.dumps(asdict(Running(uri, os.getpid()))), encoding="utf-8")
    draft.replace(place)


def withdraw(data_dir: Path) -> None:
    """Take back what `announce` said."""
    _place(data_dir).unlink(missing_ok=True)


def running(data_dir: Path) -> Running | None:
    """Return the server that serves the database now; None when nobody looks after one."""
    try:
        found = json.loads(_place(data_dir).read_text(encoding="utf-8"))
        known = Running(str(found["uri"]), int(found["pid"]))
        os.kill(known.pid, 0)
    except PermissionError:
        return known  # it runs, as somebody else
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
    return known


def _place(data_dir: Path) -> Path:
    return folder(data_dir) / "server.json"
