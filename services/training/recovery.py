"""What workers that died have left behind in MLflow: runs that nobody ends, versions nobody knows.

Whatever is trained for a job carries its id, as the tag `slipway.job_id`.
"""

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from services import families
from services.core.settings import Settings
from services.registry.catalogue import Stage, VersionRef
from services.registry.client import connect, exists, mlflow_errors
from services.registry.registry import Registry
from services.training.errand import RESULT_TAG
from services.training.publish import JOB_TAG, move, registered
from services.training.tracking import ERROR_TAG, Desk

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

LOST = "The worker was lost."
_PARENT = "mlflow.parentRunId"
_PAGE = 1000


def take_up(
    settings: Settings, job: str, experiment: str, stage: Stage | None
) -> dict[str, Any] | None:
    """Put in order what an earlier worker left of a job; return the result, if it got that far.

    It got that far if a version was registered; what is missing then, the stage and the end of
    its runs, is made up for. Otherwise its runs are FAILED, and the job begins anew.

    Args:
        experiment: of the job's runs.
        stage: where the version was to go.

    Raises:
        RegistryUnavailableError: MLflow does not answer.
    """
    desk = Desk.open(settings, experiment, experiment)
    made = next(iter(registered(desk, job)), None)
    if made is None:
        _end(desk.client, _under_way(desk.client, [desk.id], job), "FAILED", LOST)
        return None
    made = move(Registry(settings, families.discover()), made, stage)
    with mlflow_errors():
        result = _result(desk.client, made)
    _end(desk.client, _under_way(desk.client, [desk.id], job), "FINISHED", None)
    return {**result, "version": made.version, "stage": made.stage}


def close_left(settings: Settings, ended: Callable[[str], str | None]) -> int:
    """End the runs of jobs that nobody works on any more; return how many.

    Args:
        ended: told a job's id, says how its run is to end (`FAILED`, `KILLED`); None: not at all.

    Raises:
        RegistryUnavailableError: MLflow does not answer.
    """
    if not exists(settings.tracking_uri):
        return 0
    client = connect(settings)
    with mlflow_errors():
        known = [one.experiment_id for one in client.search_experiments()]
    closed = 0
    for run in _under_way(client, known, None):
        status = ended(run.data.tags[JOB_TAG])
        if status is not None:
            _end(client, [run], status, LOST)
            closed += 1
    return closed


def _result(client: "MlflowClient", made: VersionRef) -> dict[str, Any]:
    """Return the result that was written down before the version was registered."""
    run = client.get_run(str(made.run_id))
    parent = run.data.tags.get(_PARENT)
    if parent is not None:
        run = client.get_run(parent)
    try:
        return dict(json.loads(run.data.tags[RESULT_TAG]))
    except (KeyError, ValueError):
        # Longer than MLflow keeps a tag.
        return {"run_id": run.info.run_id, "name": made.name, "metrics": dict(run.data.metrics)}


def _under_way(client: "MlflowClient", known: list[str], job: str | None) -> "Iterator[Run]":
    """Return the runs of a job, or of any, that MLflow takes for running."""
    whose = f"= '{job}'" if job is not None else "LIKE '%'"
    with mlflow_errors():
        found: list[Run] = list(
            client.search_runs(
                known, f"attributes.status = 'RUNNING' AND tags.`{JOB_TAG}` {whose}", 1, _PAGE
            )
        )
    yield from found


def _end(
    client: "MlflowClient", runs: "Iterator[Run] | list[Run]", status: str, why: str | None
) -> None:
    with mlflow_errors():
        for run in runs:
            client.set_terminated(run.info.run_id, status)
            if why is not None:
                client.set_tag(run.info.run_id, ERROR_TAG, why)
