"""Hand a trained model over to MLflow: its files to the run, then a version to the registry."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from services import families
from services.core.errors import SlipwayError
from services.families.base import Artifact, Family, Fitted
from services.registry import flavor, opening
from services.registry.catalogue import Stage, VersionRef
from services.registry.client import mlflow_errors
from services.registry.registry import Registry
from services.training import environment

if TYPE_CHECKING:
    from services.training.tracking import Desk

_MODEL_VERSIONS = "mlflow.modelVersions"


@dataclass(frozen=True, slots=True)
class Release:
    """How a version is registered.

    Attributes:
        name: of the registered model.
        stage: where to move it; None: nowhere.
        version_tag: the user's own version, such as `1.0.0`, kept as the tag `version`.
        description: what is special about it.
    """

    name: str
    stage: Stage | None = None
    version_tag: str | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """A model that MLflow keeps: its address (`models:/m-…`), and a copy that came back from it."""

    uri: str
    artifact: Artifact


@contextmanager
def keep(desk: "Desk", run_id: str, family: Family, fitted: Fitted, name: str) -> Iterator[Kept]:
    """Log a model to a run, and fetch it back: what is judged is what will be served.

    The copy lasts as long as this context.

    Raises:
        RegistryUnavailableError: MLflow does not answer.
        CheckpointError: what came back is not what was sent.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    logged = flavor.log_model(fitted, family=family, client=desk.client, run_id=run_id, name=name)
    with tempfile.TemporaryDirectory(prefix="slipway-") as scratch:
        with mlflow_errors("The model"):
            place = desk.client.get_logged_model(logged.model_id).artifact_location
            files = get_artifact_repository(place, tracking_uri=desk.uri)
            folder = Path(str(files.download_artifacts("", scratch)))  # type: ignore[no-untyped-call]
        yield Kept(
            logged.uri,
            opening.artifact(folder, name, "candidate", families={family.name}),
        )


def publish(
    desk: "Desk", run_id: str, family: Family, model_uri: str, release: Release
) -> VersionRef:
    """Register a model that was logged, and move it to a stage.

    Args:
        model_uri: `models:/m-…`, as MLflow calls a logged model.

    Raises:
        InvalidInputError: MLflow does not accept the name.
        RegistryUnavailableError: MLflow does not answer. The message says so if the version was
            registered by then.
    """
    actor = environment.user()
    tags = {"slipway.family": family.name, "slipway.registered_by": actor}
    if release.version_tag:
        tags["version"] = release.version_tag
    registry = Registry(desk.settings, families.discover())
    made = registry.register(
        release.name, model_uri, run_id=run_id, tags=tags, description=release.description
    )
    _link(desk, model_uri, made)
    if release.stage is None or release.stage is Stage.NONE:
        return made
    try:
        return registry.transition(made.name, made.version, release.stage, actor=actor)
    except SlipwayError as error:
        error.message += f" Version {made.version} of {made.name} is registered, but not moved."
        raise


def _link(desk: "Desk", model_uri: str, made: VersionRef) -> None:
    """Let MLflow's pages lead from the run to the version; without it nothing is lost."""
    model_id = model_uri.rpartition("/")[2]
    with suppress(SlipwayError), mlflow_errors("The model"):
        known = json.loads(desk.client.get_logged_model(model_id).tags.get(_MODEL_VERSIONS, "[]"))
        links = json.dumps([*known, {"name": made.name, "version": int(made.version)}])
        desk.client.set_logged_model_tags(model_id, {_MODEL_VERSIONS: links})
