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
from services.registry import baselines, flavor, opening
from services.registry.catalogue import Stage, VersionRef
from services.registry.client import mlflow_errors
from services.registry.look import ref_of
from services.registry.registry import Registry
from services.registry.stages import Holders
from services.training import environment

if TYPE_CHECKING:
    from services.training.tracking import Desk

_MODEL_VERSIONS = "mlflow.modelVersions"
# The job that something was made for: a tag of runs and of registered versions.
JOB_TAG = "slipway.job_id"


@dataclass(frozen=True, slots=True)
class Release:
    """How a version is registered.

    Attributes:
        name: of the registered model.
        stage: where to move it; None: nowhere.
        version_tag: the user's own version, such as `1.0.0`, kept as the tag `version`.
        description: what is special about it.
        job: for which it is registered, once: whoever does the job again finds what is there.
    """

    name: str
    stage: Stage | None = None
    version_tag: str | None = None
    description: str = ""
    job: str | None = None


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

    For a job there is one version, whoever else works on the same job at the same time.

    Args:
        model_uri: `models:/m-…`, as MLflow calls a logged model.

    Raises:
        InvalidInputError: MLflow does not accept the name.
        RegistryUnavailableError: MLflow does not answer. The message says so if the version was
            registered by then.
    """
    registry = Registry(desk.settings, families.discover())
    made = _first(desk, release.job)
    if made is None:
        made = _register(desk, registry, run_id, family, model_uri, release)
        _link(desk, model_uri, made)
    return move(registry, made, release.stage)


def move(registry: Registry, made: VersionRef, stage: Stage | None) -> VersionRef:
    """Move a version that was just registered to a stage; None: leave it where it is.

    Raises:
        RegistryUnavailableError: MLflow does not answer; the message says that it is registered.
    """
    if stage is None or stage is Stage.NONE:
        return made
    try:
        return registry.transition(made.name, made.version, stage, actor=environment.user())
    except SlipwayError as error:
        error.message += f" Version {made.version} of {made.name} is registered, but not moved."
        raise


def registered(desk: "Desk", job: str) -> list[VersionRef]:
    """Return the versions that were registered for a job, the first one first.

    Raises:
        RegistryUnavailableError: MLflow does not answer.
    """
    with mlflow_errors():
        found = desk.client.search_model_versions(f"tags.`{JOB_TAG}` = '{job}'")
    return sorted((ref_of(one, Holders()) for one in found), key=lambda ref: int(ref.version))


def _first(desk: "Desk", job: str | None) -> VersionRef | None:
    return next(iter(registered(desk, job)), None) if job is not None else None


def _register(
    desk: "Desk",
    registry: Registry,
    run_id: str,
    family: Family,
    model_uri: str,
    release: Release,
) -> VersionRef:
    tags = {"slipway.family": family.name, "slipway.registered_by": environment.user()}
    if release.version_tag:
        tags["version"] = release.version_tag
    if release.job is not None:
        tags[JOB_TAG] = release.job
    known = baselines.of_run(desk.client, run_id)
    if known is not None:
        tags[baselines.TAG] = known
    made = registry.register(
        release.name, model_uri, run_id=run_id, tags=tags, description=release.description
    )
    first = _first(desk, release.job) or made
    if first.version != made.version:
        # A worker that was thought lost did the same meanwhile: the first version stays.
        with mlflow_errors("The model"):
            desk.client.delete_model_version(made.name, made.version)
    return first


def _link(desk: "Desk", model_uri: str, made: VersionRef) -> None:
    """Let MLflow's pages lead from the run to the version; without it nothing is lost."""
    model_id = model_uri.rpartition("/")[2]
    with suppress(SlipwayError), mlflow_errors("The model"):
        known = json.loads(desk.client.get_logged_model(model_id).tags.get(_MODEL_VERSIONS, "[]"))
        links = json.dumps([*known, {"name": made.name, "version": int(made.version)}])
        desk.client.set_logged_model_tags(model_id, {_MODEL_VERSIONS: links})
