"""Slipway's flavour of an MLflow model: what a family saved, in a folder that MLflow understands.

    MLmodel                 flavours `slipway` and `python_function`, signature
    data/                   the family's own files
    example.json            a payload that the model answers (`example.bin` for a picture)
    requirements.txt        what the family imports, with versions

Plain MLflow opens it too: `mlflow.pyfunc.load_model(uri).predict(table)`, where Slipway is
installed; the same safe loading, for it is the family that opens the files.
"""

import base64
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from services.core.errors import CheckpointError, InvalidInputError
from services.core.settings import load_settings
from services.core.signature.parse import to_mlflow
from services.families.base import Family, Fitted, Model, Picture, predict
from services.registry.client import mlflow_errors
from services.registry.mlmodel import FILE, JSON_EXAMPLE, PICTURE_EXAMPLE, SLIPWAY
from services.registry.requirements import requirements

if TYPE_CHECKING:
    from mlflow import MlflowClient

DATA = "data"

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Logged:
    """A model that MLflow keeps: `uri` is `models:/<model_id>`."""

    uri: str
    model_id: str


def save_model(
    fitted: Fitted,
    folder: Path,
    *,
    family: Family,
    model_id: str | None = None,
    run_id: str | None = None,
) -> None:
    """Write a trained model as an MLflow model into a folder that does not exist yet."""
    from mlflow.models import Model as MlflowModel
    from mlflow.models import ModelSignature

    data = folder / DATA
    data.mkdir(parents=True)
    fitted.save(data)
    own: dict[str, Any] = {"family": family.name, "config": dict(fitted.config), "data": DATA}
    example = _write_example(folder, fitted.example)
    if example is not None:
        own["example"] = example
    model = MlflowModel(
        model_id=model_id,
        model_uuid=model_id,
        run_id=run_id,
        signature=ModelSignature.from_dict(to_mlflow(fitted.signature)),
        saved_input_example_info=_write_inputs(folder, fitted.example),
    )
    model.add_flavor(SLIPWAY, **own)
    model.add_flavor(
        "python_function", loader_module=__name__, env={"virtualenv": "python_env.yaml"}
    )
    _write_environment(folder, family)
    model.save(str(folder / FILE))


def log_model(
    fitted: Fitted,
    *,
    family: Family,
    client: "MlflowClient",
    run_id: str,
    name: str = "model",
    tags: Mapping[str, str] | None = None,
) -> Logged:
    """Save a trained model into MLflow, as an output of a run; `Registry.register` comes next.

    Args:
        name: of the logged model, in MLflow's pages.

    Raises:
        RegistryUnavailableError: MLflow does not answer.
    """
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus

    with mlflow_errors("The run"), tempfile.TemporaryDirectory(prefix="slipway-") as scratch:
        run = client.get_run(run_id)
        made = client.create_logged_model(
            run.info.experiment_id,
            name=name,
            source_run_id=run_id,
            params=dict(run.data.params),
            tags=dict(tags or {}),
            model_type=SLIPWAY,
        )
        try:
            folder = Path(scratch) / "model"
            save_model(fitted, folder, family=family, model_id=made.model_id, run_id=run_id)
            client.log_model_artifacts(made.model_id, str(folder))
        except BaseException:
            client.finalize_logged_model(made.model_id, LoggedModelStatus.FAILED)
            raise
        client.finalize_logged_model(made.model_id, LoggedModelStatus.READY)
        client.log_outputs(run_id, [LoggedModelOutput(made.model_id, step=0)])
    _log.debug("model logged", family=family.name, model_id=made.model_id)
    return Logged(f"models:/{made.model_id}", made.model_id)


class _Loaded:
    """What `mlflow.pyfunc` calls: a model behind a table or an array."""

    def __init__(self, model: Model, *, pictures: bool) -> None:
        self._model = model
        self._pictures = pictures

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Return one prediction for each row.

        Raises:
            InvalidInputError: the rows are not what the model takes.
        """
        import numpy as np

        if self._pictures:
            return [predict(self._model, Picture(_bytes(value))) for value in _cells(data)]
        extra = {"params": dict(params)} if params else {}
        output = predict(self._model, {"inputs": _inputs(data), **extra})
        return np.asarray(output["predictions"])


def _load_pyfunc(path: str) -> _Loaded:
    """Open a model for `mlflow.pyfunc`; `path` is the folder of its MLmodel."""
    from services.families import discover
    from services.registry import opening

    families = discover()
    artifact = opening.artifact(Path(path), "model", "0", families=families)
    if artifact.native is not None:
        raise CheckpointError("This is not a model that Slipway saved.", where=FILE)
    family = families[artifact.family]
    return _Loaded(family.open(artifact, load_settings()), pictures=family.takes == "picture")


def _inputs(data: Any) -> Any:
    import numpy as np
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        plain = data.astype(object).where(data.notna(), None)
        if all(isinstance(column, str) for column in data.columns):
            return plain.to_dict("records")
        return plain.to_numpy().tolist()
    if isinstance(data, np.ndarray):
        return data.tolist()
    if isinstance(data, dict):
        return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in data.items()}
    return data


def _cells(data: Any) -> list[Any]:
    """Return the first column of a table, or every item of a list."""
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        return data.iloc[:, 0].tolist() if len(data.columns) else []
    return [data] if isinstance(data, bytes | str) else list(data)


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError):
        raise InvalidInputError(
            "A picture is not what it should be.", expected="an image file's bytes, or base64"
        ) from None


def _write_example(folder: Path, example: Any) -> str | None:
    if example is None:
        return None
    if isinstance(example, Picture):
        (folder / PICTURE_EXAMPLE).write_bytes(example.data)
        return PICTURE_EXAMPLE
    (folder / JSON_EXAMPLE).write_text(json.dumps(example), encoding="utf-8")
    return JSON_EXAMPLE


def _write_inputs(folder: Path, example: Any) -> dict[str, Any] | None:
    """Write the example where MLflow's own tools look for one, if its form is theirs as well."""
    if not isinstance(example, dict) or "inputs" not in example:
        return None
    (folder / "input_example.json").write_text(json.dumps(example["inputs"]), encoding="utf-8")
    (folder / "serving_input_example.json").write_text(json.dumps(example), encoding="utf-8")
    return {
        "artifact_path": "input_example.json",
        "serving_input_path": "serving_input_example.json",
        "type": "json_object",
    }


def _write_environment(folder: Path, family: Family) -> None:
    lines = requirements(family)
    (folder / "requirements.txt").write_text(
        "# and Slipway itself, which opens the model\n" + "\n".join(lines) + "\n", encoding="utf-8"
    )
    import platform

    (folder / "python_env.yaml").write_text(
        f"python: {platform.python_version()}\n"
        "build_dependencies: [pip, setuptools, wheel]\n"
        "dependencies: [-r requirements.txt]\n",
        encoding="utf-8",
    )
