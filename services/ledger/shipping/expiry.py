"""What MLflow is to forget, and runs that are over: a piece of it at a time."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from services.core.errors import NotFoundError
from services.core.logging import get_logger
from services.core.settings import Settings
from services.ledger.database import runs
from services.ledger.database.opening import Database
from services.ledger.shipping.destination import DAY, KIND, MODEL, SERVING, VERSION, Destination
from services.registry.client import mlflow_errors

_log = get_logger(__name__)
_TRACES, _RUNS = 1000, 20
_PAGE = 500
# A count that is only said, not acted on, goes no further.
MOST_COUNTED = 10_000
_FOLDERS = ("predictions", "images")
_SERVING = f"tags.`{KIND}` = '{SERVING}'"
# Until a day's last records have come, by and large.
_GRACE = timedelta(minutes=10)


def delete_traces(destination: Destination, days: float, now: datetime) -> int:
    """Delete up to a thousand of the traces older than `days`; return how many went.

    Raises:
        RegistryUnavailableError: MLflow does not answer as it should.
    """
    experiment = destination.present_experiment()
    if experiment is None:
        return 0
    with mlflow_errors():
        return destination.client().delete_traces(
            experiment, max_timestamp_millis=_milliseconds(now - timedelta(days=days)),
            max_traces=_TRACES,
        )  # fmt: skip


def count_traces(destination: Destination, days: float, now: datetime) -> int:
    """Return how many traces are older than `days`, as far as ten thousand.

    Raises:
        RegistryUnavailableError: MLflow does not answer as it should.
    """
    experiment = destination.present_experiment()
    if experiment is None:
        return 0
    client, count, token = destination.client(), 0, None
    before = _milliseconds(now - timedelta(days=days))
    with mlflow_errors():
        while count < MOST_COUNTED:
            page = client.search_traces(
                locations=[experiment], filter_string=f"attributes.timestamp_ms <= {before}",
                max_results=_PAGE, page_token=token, include_spans=False,
            )  # fmt: skip
            count += len(page)
            token = page.token
            if not token:
                break
    return count


def expired_runs(destination: Destination, days: float, now: datetime) -> list[Any]:
    """Return some of the serving runs whose day ended more than `days` ago, oldest first.

    Raises:
        RegistryUnavailableError: MLflow does not answer as it should.
    """
    before = now - timedelta(days=days)
    found = _serving(destination, f"attributes.start_time < {_milliseconds(before)}")
    return [run for run in found if _over(run, before)]


def delete_run(settings: Settings, destination: Destination, database: Database, run: Any) -> bool:
    """Delete a serving run with its files; return whether the files could be deleted.

    Raises:
        RegistryUnavailableError: MLflow does not answer as it should.
        LedgerUnavailableError: the database does not answer.
    """
    # It knocks first: while MLflow is away nothing is half deleted.
    client, tags = destination.client(), run.data.tags
    emptied = _empty(settings, run)
    with suppress(NotFoundError), mlflow_errors("The run"):
        client.delete_run(run.info.run_id)
    with database.begin() as connection:
        runs.forget_run(connection, tags.get(MODEL, ""), tags.get(VERSION, ""), tags[DAY])
    return emptied


def past_runs(destination: Destination, now: datetime) -> list[Any]:
    """Return some of the serving runs that are still open although their day is over.

    Raises:
        RegistryUnavailableError: MLflow does not answer as it should.
    """
    found = _serving(destination, "attributes.status = 'RUNNING'")
    return [run for run in found if _over(run, now - _GRACE)]


def finish_run(destination: Destination, run: Any) -> None:
    """Close a serving run at the end of its day.

    Raises:
        RegistryUnavailableError: MLflow does not answer as it should.
    """
    end = max(_milliseconds(_end(run) or datetime.now(UTC)), run.info.start_time + 1)
    with mlflow_errors():
        destination.client().set_terminated(run.info.run_id, "FINISHED", end)


def _serving(destination: Destination, clause: str) -> list[Any]:
    experiment = destination.present_experiment()
    if experiment is None:
        return []
    with mlflow_errors():
        return list(
            destination.client().search_runs(
                [experiment], f"{_SERVING} and {clause}",
                max_results=_RUNS, order_by=["attributes.start_time ASC"],
            )
        )  # fmt: skip


def _empty(settings: Settings, run: Any) -> bool:
    """Delete a run's files, where its storage can do that."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    try:
        repository: Any = get_artifact_repository(
            run.info.artifact_uri, tracking_uri=settings.tracking_uri
        )
        for folder in _FOLDERS:
            repository.delete_artifacts(folder)
    except Exception as error:
        # Any library of any storage: what it does not delete, `mlflow gc` may.
        _log.warning("a run's files stay", run=run.info.run_id, error=str(error)[:300])
        return False
    return True


def _over(run: Any, now: datetime) -> bool:
    """Return whether a run's day has ended by then; what has no day is left alone."""
    end = _end(run)
    return end is not None and end <= now


def _end(run: Any) -> datetime | None:
    try:
        day = datetime.strptime(run.data.tags.get(DAY, ""), "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    return day + timedelta(days=1)


def _milliseconds(time: datetime) -> int:
    return int(time.timestamp() * 1000)
