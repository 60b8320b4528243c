"""What MLflow knows of experiments and runs, as plain values."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from services.core.errors import NotFoundError
from services.core.settings import Settings
from services.registry.client import connect, exists, mlflow_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MOST_EXPERIMENTS = 200
_PAGE = 1000
_MOST_RUNS = 20_000
_MOST_TAGS = 20
_LONGEST_TAG = 200
_METRIC = "accuracy"


def experiments(settings: Settings) -> list[dict[str, Any]]:
    """Return every experiment, newest first: id, name, number of runs, and the best run.

    The best run has the highest `accuracy`, or, where no run has one, the highest value of the
    metric that most runs have. Runs beyond twenty thousand are not counted.

    Raises:
        RegistryUnavailableError: MLflow does not answer.
    """
    if not exists(settings.tracking_uri):
        return []
    client = connect(settings)
    with mlflow_errors():
        found = client.search_experiments(max_results=_MOST_EXPERIMENTS)
        return [_experiment(client, experiment) for experiment in found]


def recent_runs(
    settings: Settings, limit: int = 20, experiment: str | None = None
) -> list[dict[str, Any]]:
    """Return the newest runs of all experiments, or of the one of this name.

    Times are milliseconds since 1970.

    Raises:
        NotFoundError: there is no such experiment.
        RegistryUnavailableError: MLflow does not answer.
    """
    if not exists(settings.tracking_uri):
        return []
    client = connect(settings)
    with mlflow_errors():
        names = _names(client, experiment)
        if not names:
            return []
        runs = client.search_runs(
            list(names), max_results=limit, order_by=["attributes.start_time DESC"]
        )
        return [_run(run, names) for run in runs]


def _experiment(client: "MlflowClient", experiment: Any) -> dict[str, Any]:
    runs = [
        (run.info.run_id, _finite(run.data.metrics))
        for run in _runs(client, experiment.experiment_id)
    ]
    return {
        "experiment_id": experiment.experiment_id,
        "name": experiment.name,
        "total_runs": len(runs),
        "best_run": _best(runs),
    }


def _runs(client: "MlflowClient", experiment_id: str) -> Iterator[Any]:
    token, count = None, 0
    while count < _MOST_RUNS:
        page = client.search_runs([experiment_id], max_results=_PAGE, page_token=token)
        yield from page
        count += len(page)
        token = page.token
        if not token:
            return


def _best(runs: Sequence[tuple[str, dict[str, float]]]) -> dict[str, Any] | None:
    counts = Counter(name for _, metrics in runs for name in metrics)
    if not counts:
        return None
    metric = _METRIC if _METRIC in counts else min(counts, key=lambda name: (-counts[name], name))
    scored = [(run_id, metrics) for run_id, metrics in runs if metric in metrics]
    run_id, metrics = max(scored, key=lambda run: run[1][metric])
    return {"run_id": run_id, "metrics": metrics}


def _names(client: "MlflowClient", experiment: str | None) -> dict[str, str]:
    if experiment is None:
        found = client.search_experiments(max_results=_MOST_EXPERIMENTS)
        return {item.experiment_id: item.name for item in found}
    one = client.get_experiment_by_name(experiment)
    if one is None:
        raise NotFoundError("There is no such experiment.", where="experiment")
    return {one.experiment_id: one.name}


def _run(run: Any, names: dict[str, str]) -> dict[str, Any]:
    tags = {
        name: value[:_LONGEST_TAG]
        for name, value in sorted(run.data.tags.items())
        if not name.startswith("mlflow.")
    }
    return {
        "run_id": run.info.run_id,
        "run_name": run.info.run_name,
        "experiment_id": run.info.experiment_id,
        "experiment": names.get(run.info.experiment_id),
        "status": run.info.status,
        "start_time": run.info.start_time,
        "end_time": run.info.end_time,
        "params": dict(run.data.params),
        "metrics": _finite(run.data.metrics),
        "tags": dict(list(tags.items())[:_MOST_TAGS]),
    }


def _finite(metrics: dict[str, float]) -> dict[str, float]:
    """JSON has no other numbers."""
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
