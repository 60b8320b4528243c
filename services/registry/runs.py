"""The newest runs that MLflow has, as plain values."""

import math
from typing import TYPE_CHECKING, Any

from services.core.errors import NotFoundError
from services.core.settings import Settings
from services.registry.client import connect, exists, mlflow_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

MOST_EXPERIMENTS = 200
# What predictions are recorded in, `services/ledger`; those runs were not trained.
KIND_TAG, SERVING = "slipway.kind", "serving"
_MOST_TAGS = 20
_LONGEST_TAG = 200
_NEWEST_FIRST = ["attributes.start_time DESC"]

# A question: the address, the experiments that are asked for, and how many runs.
_Asked = tuple[str, tuple[str, ...], int]


class Floors:
    """Since when, at the latest, the newest runs began: as of the last answer.

    MLflow has no index on the time: among 100,000 runs it sorts all of them for the newest 20.
    New runs only move that border up, so that the few above it are all that need be sorted.
    """

    def __init__(self) -> None:
        self._known: dict[_Asked, int] = {}

    def newest(self, client: "MlflowClient", uri: str, ids: tuple[str, ...], limit: int) -> Any:
        """Return the newest runs of some experiments."""
        asked = uri, ids, limit
        floor = self._known.get(asked)
        runs: Any = []
        if floor is not None:
            runs = client.search_runs(
                list(ids), f"attributes.start_time >= {floor}", 1, limit, _NEWEST_FIRST
            )
        if len(runs) < limit:
            # The first time, or some were deleted.
            runs = client.search_runs(list(ids), "", 1, limit, _NEWEST_FIRST)
        if len(self._known) >= MOST_EXPERIMENTS:
            self._known.clear()
        if len(runs) == limit and runs[-1].info.start_time is not None:
            self._known[asked] = runs[-1].info.start_time
        return runs


_FLOORS = Floors()


def recent_runs(
    settings: Settings, limit: int = 20, experiment: str | None = None
) -> list[dict[str, Any]]:
    """Return the newest runs of all experiments, or of the one of this name.

    The runs that hold predictions are left out, unless their experiment is named. Times are
    milliseconds since 1970.

    Raises:
        NotFoundError: there is no such experiment.
        RegistryUnavailableError: MLflow does not answer.
    """
    if not exists(settings.tracking_uri):
        return []
    client = connect(settings)
    with mlflow_errors():
        names = _names(client, experiment, settings.ledger_experiment)
        if not names:
            return []
        runs = _FLOORS.newest(client, settings.tracking_uri, tuple(names), limit)
        return [_run(run, names) for run in runs]


def finite(metrics: dict[str, float]) -> dict[str, float]:
    """Return the metrics that JSON has numbers for."""
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def _names(client: "MlflowClient", experiment: str | None, ledger: str) -> dict[str, str]:
    if experiment is None:
        found = client.search_experiments(max_results=MOST_EXPERIMENTS)
        return {item.experiment_id: item.name for item in found if item.name != ledger}
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
        "metrics": finite(run.data.metrics),
        "tags": dict(list(tags.items())[:_MOST_TAGS]),
    }
