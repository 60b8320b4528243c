"""Where a version's baseline for drift lies: a file of the run that made it, named by a tag.

The tag holds an address, `runs:/<run_id>/drift/baseline-<digest>.npz`. A new baseline is a new
file: whoever has read an address once need not read it again.
"""

import re
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.core import embedded
from services.core.errors import CheckpointError, NotFoundError
from services.core.settings import Settings
from services.registry.catalogue import VersionRef
from services.registry.client import connect, mlflow_errors, upsert
from services.registry.runs import KIND_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Of a registered version, and of the run that made it.
TAG = "slipway.drift_baseline"
# Of versions that no run made, or whose run is gone.
EXPERIMENT = "slipway-drift"
_FOLDER = "drift"
_ADDRESS = re.compile(r"runs:/([0-9a-f]{32})/(drift/baseline-[0-9a-f]{16}\.npz)")
_MOST_BYTES = 8 * 1024 * 1024
_LONGEST_TAG = 500


def put(client: "MlflowClient", run_id: str, data: bytes) -> str:
    """Keep a baseline with a run; return its address, which the run's tag holds as well.

    Raises:
        NotFoundError: there is no such run.
        RegistryUnavailableError: MLflow does not answer.
    """
    name = f"baseline-{sha256(data).hexdigest()[:16]}.npz"
    address = f"runs:/{run_id}/{_FOLDER}/{name}"
    with mlflow_errors("The run"), tempfile.TemporaryDirectory(prefix="slipway-") as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        client.log_artifact(run_id, str(path), _FOLDER)
        client.set_tag(run_id, TAG, address)
    return address


def of_run(client: "MlflowClient", run_id: str | None) -> str | None:
    """Return the address of the baseline that a run's training left, if it did.

    Raises:
        RegistryUnavailableError: MLflow does not answer.
    """
    if run_id is None:
        return None
    try:
        with mlflow_errors("The run"):
            found = client.get_run(run_id).data.tags.get(TAG)
    except NotFoundError:
        return None
    return None if found is None else str(found)


def get(settings: Settings, address: str) -> bytes:
    """Return the bytes that an address names.

    Raises:
        CheckpointError: it is no such address, or names nothing of a baseline's size.
        RegistryUnavailableError: MLflow does not answer.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise _missing()
    run_id, path = found.groups()
    client = connect(settings)
    try:
        with mlflow_errors("The baseline"), tempfile.TemporaryDirectory(prefix="slipway-") as into:
            listed = {item.path: item.file_size for item in client.list_artifacts(run_id, _FOLDER)}
            if not 0 < (listed.get(path) or 0) <= _MOST_BYTES:
                raise _missing()
            return Path(client.download_artifacts(run_id, path, into)).read_bytes()
    except (NotFoundError, OSError):
        raise _missing() from None


def attach(settings: Settings, ref: VersionRef, data: bytes) -> str:
    """Keep a baseline for a version that is registered, and say so in its tag; return its address.

    Raises:
        RegistryUnavailableError: MLflow does not answer, or does not let us write.
    """
    client = connect(settings)
    try:
        address = put(client, ref.run_id or _run(settings, client, ref), data)
    except NotFoundError:
        address = put(client, _run(settings, client, ref), data)
    tag(settings, ref, {TAG: address})
    return address


def tag(settings: Settings, ref: VersionRef, tags: Mapping[str, str]) -> None:
    """Set tags of a version.

    Raises:
        NotFoundError: it is gone.
        RegistryUnavailableError: MLflow does not answer, or does not let us write.
    """
    client = connect(settings)
    with mlflow_errors("The version", where="version"):
        for name, value in tags.items():
            upsert(client.set_model_version_tag, ref.name, ref.version, name, value[:_LONGEST_TAG])


def inherited(settings: Settings, ref: VersionRef) -> str | None:
    """Return the address that the run of a version knows: it was registered by other hands.

    Raises:
        RegistryUnavailableError: MLflow does not answer.
    """
    return of_run(connect(settings), ref.run_id)


def _run(settings: Settings, client: "MlflowClient", ref: VersionRef) -> str:
    """Make a run that holds the baseline of a version without one."""
    with mlflow_errors():
        found: Any = client.get_experiment_by_name(EXPERIMENT)
        id = found.experiment_id if found is not None else _experiment(settings, client)
        run = client.create_run(
            id, tags={KIND_TAG: "drift"}, run_name=f"baseline of {ref.name} {ref.version}"
        )
        client.set_terminated(run.info.run_id, "FINISHED")
    return str(run.info.run_id)


def _experiment(settings: Settings, client: "MlflowClient") -> str:
    # Without a server between, MLflow would put the files into the folder one happens to be in.
    place = None
    if not settings.tracking_uri.startswith(("http://", "https://")):
        place = (embedded.artifact_root(settings.data_dir) / EXPERIMENT).absolute().as_uri()
    return str(client.create_experiment(EXPERIMENT, artifact_location=place))


def _missing() -> CheckpointError:
    return CheckpointError(
        "The baseline is not where the version's tag says.",
        where=TAG,
        expected="runs:/<run_id>/drift/baseline-….npz; slipway drift baseline makes one",
    )
