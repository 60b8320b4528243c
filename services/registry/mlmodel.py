"""The file `MLmodel` and the example beside it, read as data; nothing of MLflow is imported."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from services.core.errors import CheckpointError
from services.core.signature import Signature
from services.core.signature.parse import from_mlflow
from services.families.base import Picture

FILE = "MLmodel"
# Of Slipway's own flavour, and of the one that every MLflow model has.
SLIPWAY = "slipway"
PYFUNC = "python_function"
# A payload in the form that the family itself takes.
JSON_EXAMPLE, PICTURE_EXAMPLE = "example.json", "example.bin"
_MOST_BYTES = 4 * 1024 * 1024
_MOST_EXAMPLE_BYTES = 16 * 1024 * 1024
_SERVING_EXAMPLE = "serving_input_example.json"
_RUN_ID = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """What `MLmodel` says.

    Attributes:
        folder: where it lies.
        flavors: by name, the mapping of each.
        signature: None if none was recorded.
        example: a payload as families take it, or None.
        run_id: the run that made it, or None.
    """

    folder: Path
    flavors: Mapping[str, Mapping[str, Any]]
    signature: Signature | None
    example: Any
    run_id: str | None = None

    def path(self, relative: Any) -> Path:
        """Return the path of a file or folder that the MLmodel names.

        Raises:
            CheckpointError: it leads out of the model, or is not there.
        """
        parts = PurePosixPath(relative).parts if isinstance(relative, str) else ()
        found = self.folder.joinpath(*parts)
        inside = found.resolve().is_relative_to(self.folder.resolve())
        if not parts or ".." in parts or not inside or not found.exists():
            raise CheckpointError(
                "The model names a file that it does not hold.",
                where=FILE,
                expected="a path inside the model's own folder",
            )
        return found


def read(folder: Path) -> ModelFile:
    """Read a model's description.

    Raises:
        CheckpointError: it is missing, too large, or not what MLflow writes.
    """
    found = _yaml(folder / FILE)
    flavors = found.get("flavors")
    if not isinstance(flavors, dict) or not all(isinstance(v, dict) for v in flavors.values()):
        raise _unreadable()
    signature = found.get("signature")
    if signature is not None and not isinstance(signature, dict):
        raise _unreadable()
    return ModelFile(
        folder=folder,
        flavors={str(name): flavor for name, flavor in flavors.items()},
        signature=None if signature is None else from_mlflow(signature),
        example=_example(folder, found.get("saved_input_example_info")),
        run_id=_run_id(found.get("run_id")),
    )


def _run_id(found: Any) -> str | None:
    """Return what can be one: the file may say anything, and this goes into metrics and links."""
    return found if isinstance(found, str) and _RUN_ID.fullmatch(found) else None


def payload(example: Any) -> Any:
    """Return MLflow's form of a request as families take it: `{"inputs": ...}`; None if unclear.

    Rows of a table become records with the columns' names.
    """
    if not isinstance(example, dict):
        return None
    split = example.get("dataframe_split")
    if isinstance(split, dict):
        inputs = _records(split)
    else:
        keys = [key for key in ("dataframe_records", "inputs", "instances") if key in example]
        inputs = example[keys[0]] if len(keys) == 1 else None
    if inputs is None:
        return None
    params = example.get("params")
    return {"inputs": inputs, **({"params": params} if params else {})}


def read_example(folder: Path, flavor: Mapping[str, Any]) -> Any:
    """Return the payload that was saved with a model; None if there is none that can be read."""
    name = flavor.get("example")
    path = folder / str(name)
    try:
        if name not in {JSON_EXAMPLE, PICTURE_EXAMPLE} or path.is_symlink():
            return None
        if path.stat().st_size > _MOST_EXAMPLE_BYTES:
            return None
        if name == PICTURE_EXAMPLE:
            return Picture(path.read_bytes())
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def _yaml(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise _unreadable()
        found = yaml.load(path.read_text(encoding="utf-8"), Loader=_PlainLoader)  # noqa: S506
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError, RecursionError):
        raise _unreadable() from None
    if not isinstance(found, dict):
        raise _unreadable()
    return found


class _PlainLoader(yaml.SafeLoader):
    """The safe loader, without references: a few lines of them unpack into gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("references are not accepted")
        return super().compose_node(parent, index)


def _example(folder: Path, info: Any) -> Any:
    """Return the example; a model without one, or with one that makes no sense, serves as well."""
    name = info.get("serving_input_path") if isinstance(info, dict) else None
    path = folder / (name if isinstance(name, str) and "/" not in name else _SERVING_EXAMPLE)
    try:
        if path.is_symlink() or path.stat().st_size > _MOST_EXAMPLE_BYTES:
            return None
        return payload(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        return None


def _records(split: Mapping[str, Any]) -> Any:
    columns, rows = split.get("columns"), split.get("data")
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        return None
    if not isinstance(columns, list) or not all(isinstance(column, str) for column in columns):
        return rows
    if any(len(row) != len(columns) for row in rows):
        return None
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _unreadable() -> CheckpointError:
    return CheckpointError(
        "The model's description cannot be read.", where=FILE, expected="what MLflow writes"
    )
