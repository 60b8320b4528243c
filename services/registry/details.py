"""What is recorded of a version besides its stage: for people who choose between versions."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.core.errors import CheckpointError, NotFoundError
from services.core.settings import Settings
from services.core.signature import Signature
from services.registry import mlmodel
from services.registry.catalogue import VersionRef
from services.registry.client import connect, mlflow_errors
from services.registry.mlmodel import SLIPWAY, ModelFile

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

UNKNOWN = "–"


@dataclass(frozen=True, slots=True)
class Details:
    """A version's record.

    Attributes:
        family: that opens it.
        size_bytes: of its files.
        metrics, params: of the run that made it.
    """

    family: str = UNKNOWN
    signature: Signature | None = None
    size_bytes: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)


def details(settings: Settings, ref: VersionRef) -> Details:
    """Read a version's record; what is missing in MLflow is missing here. Runs nothing of it.

    Raises:
        RegistryUnavailableError: MLflow does not answer.
    """
    client = connect(settings)
    metrics, params = _run(client, ref.run_id)
    files = _files(client, settings, ref)
    found = _described(files)
    return Details(
        family=_family(found),
        signature=None if found is None else found.signature,
        size_bytes=_size(files),
        metrics=metrics,
        params=params,
    )


def metrics_of(settings: Settings, name: str, version: str) -> dict[str, float]:
    """Return what the run that made a version logged; nothing where there is no such run.

    Raises:
        NotFoundError, InvalidInputError: there is no such version.
        RegistryUnavailableError: MLflow does not answer.
    """
    client = connect(settings)
    with mlflow_errors("The version", where="version"):
        run_id = client.get_model_version(name, version).run_id
    return _run(client, run_id or None)[0]


def family_name(settings: Settings, ref: VersionRef) -> str:
    """Return the name of the family that opens a version; `UNKNOWN` if its files do not say.

    Raises:
        RegistryUnavailableError: MLflow does not answer.
    """
    return _family(_described(_files(connect(settings), settings, ref)))


def _family(found: ModelFile | None) -> str:
    if found is None:
        return UNKNOWN
    if SLIPWAY in found.flavors:
        return str(found.flavors[SLIPWAY].get("family", UNKNOWN))
    skops = found.flavors.get("sklearn", {}).get("serialization_format") == "skops"
    return "tabular" if skops else "pyfunc"


def _run(client: "MlflowClient", run_id: str | None) -> tuple[dict[str, float], dict[str, str]]:
    if run_id is None:
        return {}, {}
    try:
        with mlflow_errors("The run", where="run_id"):
            data = client.get_run(run_id).data
    except NotFoundError:
        return {}, {}
    return dict(data.metrics), dict(data.params)


def _files(client: "MlflowClient", settings: Settings, ref: VersionRef) -> "ArtifactRepository":
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    with mlflow_errors("The version", where="version"):
        place = client.get_model_version_download_uri(ref.name, ref.version)
        return get_artifact_repository(place, tracking_uri=settings.tracking_uri)


def _described(files: "ArtifactRepository") -> ModelFile | None:
    """Fetch the MLmodel alone; None if it is not there or cannot be read."""
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory(prefix="slipway-") as folder:
        try:
            fetch: Any = files.download_artifacts  # not typed
            fetch(mlmodel.FILE, folder)
            return mlmodel.read(Path(folder))
        except (OSError, ValueError, MlflowException, CheckpointError):
            return None


def _size(files: "ArtifactRepository", folder: str | None = None) -> int | None:
    """Add up what the listing of a folder says; None where it cannot be listed."""
    from mlflow.exceptions import MlflowException

    try:
        found = files.list_artifacts(folder)
    except (OSError, MlflowException):
        return None
    sizes = [_size(files, item.path) if item.is_dir else item.file_size for item in found]
    return sum(size or 0 for size in sizes)
