"""A trained model on its way from one process to another: its files in a folder, and what it is.

Nothing but JSON and the family's own safe format: what was pickled here could run code there.
"""

import base64
import json
import shutil
from pathlib import Path
from typing import Any

from services.core.signature.parse import from_mlflow, to_mlflow
from services.families.base import Artifact, Family, Fitted, Picture

_FILES = "files"
_ABOUT = "about.json"


def write(fitted: Fitted, folder: Path) -> None:
    """Save a model into a folder that does not exist yet."""
    files = folder / _FILES
    files.mkdir(parents=True)
    fitted.save(files)
    about = {
        "config": dict(fitted.config),
        "signature": to_mlflow(fitted.signature),
        "example": _plain(fitted.example),
    }
    (folder / _ABOUT).write_text(json.dumps(about), encoding="utf-8")


def read(folder: Path) -> Fitted:
    """Return what was saved: as good as the model itself, for as long as the folder is there."""
    about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))

    def save(into: Path) -> None:
        shutil.copytree(folder / _FILES, into, dirs_exist_ok=True)

    return Fitted(
        save, from_mlflow(about["signature"]), _example(about["example"]), about["config"]
    )


def artifact(folder: Path, family: Family, name: str) -> Artifact:
    """Return what was saved as something that the family opens."""
    fitted = read(folder)
    return Artifact(
        family=family.name,
        name=name,
        version="candidate",
        folder=folder / _FILES,
        config=fitted.config,
        signature=fitted.signature,
        example=fitted.example,
    )


def _plain(example: Any) -> dict[str, Any]:
    if isinstance(example, Picture):
        return {"picture": base64.b64encode(example.data).decode()}
    return {"json": example}


def _example(plain: dict[str, Any]) -> Any:
    if "picture" in plain:
        return Picture(base64.b64decode(plain["picture"]))
    return plain["json"]
