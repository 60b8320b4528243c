"""Where the embedded servers keep their things, and whether they run: paths, a small file each.

`slipway run` starts MLflow on `DATA_DIR/mlflow`; every other command uses the running server, or
the same database and files directly when none runs. Artifacts lie in a folder that both reach. In
`DATA_DIR/redis` it is the same with Redis, of which there is nothing without its server.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

MLFLOW, REDIS = "mlflow", "redis"


@dataclass(frozen=True, slots=True)
class Running:
    """An embedded server that runs now: its address, and the process that looks after it."""

    uri: str
    pid: int


def folder(data_dir: Path, server: str = MLFLOW) -> Path:
    """Return the folder of an embedded server."""
    return data_dir.absolute() / server


def database_uri(data_dir: Path) -> str:
    """Return the address of the embedded MLflow's database."""
    return f"sqlite:///{folder(data_dir) / 'mlflow.db'}"


def artifact_root(data_dir: Path) -> Path:
    """Return the folder under which the embedded MLflow keeps runs' files."""
    return folder(data_dir) / "artifacts"


def announce(data_dir: Path, uri: str, server: str = MLFLOW) -> None:
    """Say that a server at `uri`, looked after by this process, serves what lies in its folder."""
    place = _place(data_dir, server)
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_suffix(".new")
    draft.write_text(json.dumps(asdict(Running(uri, os.getpid()))), encoding="utf-8")
    draft.replace(place)


def withdraw(data_dir: Path, server: str = MLFLOW) -> None:
    """Take back what `announce` said."""
    _place(data_dir, server).unlink(missing_ok=True)


def running(data_dir: Path, server: str = MLFLOW) -> Running | None:
    """Return the embedded server that runs now; None when nobody looks after one."""
    try:
        found = json.loads(_place(data_dir, server).read_text(encoding="utf-8"))
        known = Running(str(found["uri"]), int(found["pid"]))
        os.kill(known.pid, 0)
    except PermissionError:
        return known  # it runs, as somebody else
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
    return known


def _place(data_dir: Path, server: str) -> Path:
    return folder(data_dir, server) / "server.json"
