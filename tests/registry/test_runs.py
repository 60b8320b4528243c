"""Experiments and runs as MLflow has them."""

import time
import uuid

import pytest

from services.core.errors import NotFoundError
from services.core.settings import Settings
from services.registry.experiments import experiments
from services.registry.runs import recent_runs
from tests.conftest import MakeSettings
from tests.registry.conftest import Shelf
from tests.support.mlflow_server import MlflowServer


def test_experiments_and_runs(
    shelf: Shelf, mlflow_server: MlflowServer, make_settings: MakeSettings
) -> None:
    settings = make_settings(mlflow_tracking_uri=mlflow_server.uri)
    client = shelf.client
    names = [uuid.uuid4().hex for _ in range(3)]
    first, second, _ = (client.create_experiment(name) for name in names)
    best = ""
    for number, accuracy in enumerate((0.5, 0.9, float("nan"))):
        run = client.create_run(first, tags={"who": "ada", "long": "x" * 999})
        client.log_metric(run.info.run_id, "accuracy", accuracy)
        client.log_metric(run.info.run_id, "loss", 9.0 - number)
        client.log_param(run.info.run_id, "epochs", number)
        best = run.info.run_id if accuracy == 0.9 else best
    other = client.create_run(second)
    client.log_metric(other.info.run_id, "r2", 0.3)
    found = {item["name"]: item for item in experiments(settings)}
    assert found[names[0]] == {
        "experiment_id": first,
        "name": names[0],
        "total_runs": 3,
        "best_run": {"run_id": best, "metrics": {"accuracy": 0.9, "loss": 8.0}},
        "complete": True,
    }
    assert found[names[1]]["best_run"]["run_id"] == other.info.run_id
    assert (found[names[2]]["total_runs"], found[names[2]]["best_run"]) == (0, None)

    runs = recent_runs(settings, 2, names[0])
    assert len(runs) == 2
    assert runs[0]["params"] == {"epochs": "2"}
    assert runs[0]["metrics"] == {"loss": 7.0}
    assert runs[0]["experiment"] == names[0] and runs[0]["status"] == "RUNNING"
    assert runs[0]["tags"]["who"] == "ada" and len(runs[0]["tags"]["long"]) == 200
    everything = recent_runs(settings, 100)
    assert other.info.run_id in {run["run_id"] for run in everything}
    with pytest.raises(NotFoundError):
        recent_runs(settings, 5, "unheard of")


@pytest.mark.slow
def test_more_runs_than_one_answer_holds(
    shelf: Shelf, mlflow_server: MlflowServer, make_settings: MakeSettings
) -> None:
    """Counted, and the best found, by several questions; then again after a change."""
    settings = make_settings(mlflow_tracking_uri=mlflow_server.uri)
    client, name = shelf.client, uuid.uuid4().hex
    experiment = client.create_experiment(name)
    ids = [
        client.create_run(experiment, start_time=1_000_000 + number).info.run_id
        for number in range(45)
    ]
    for number in (3, 4, 30, 44):
        client.log_metric(ids[number], "accuracy", 1e-05 * (50 - number))
    client.log_metric(ids[20], "accuracy", float("nan"))
    serving = client.create_run(experiment, start_time=1, tags={"slipway.kind": "serving"})
    client.log_metric(serving.info.run_id, "accuracy", 0.9)

    check(settings, name, 46, ids[3])
    newest = recent_runs(settings, 5, name)
    assert [run["run_id"] for run in newest] == ids[:-6:-1]
    # A deleted one is no longer the best, and no longer among the newest.
    client.delete_run(ids[3])
    client.delete_run(ids[44])
    check(settings, name, 44, ids[4])
    newer = client.create_run(experiment, start_time=2_000_000).info.run_id
    client.log_metric(newer, "accuracy", 0.5)
    check(settings, name, 45, newer)
    newest = recent_runs(settings, 5, name)
    assert [run["run_id"] for run in newest] == [newer, *ids[43:39:-1]]


def check(settings: Settings, name: str, runs: int, best: str) -> None:
    """Wait until so many runs are told, and this best one: after a while it is asked again.

    That is twenty times as long as the asking took, which is long on a busy machine.
    """
    until = time.monotonic() + 180
    while True:
        found = next(one for one in experiments(settings) if one["name"] == name)
        told = found["total_runs"], (found["best_run"] or {}).get("run_id"), found["complete"]
        if told == (runs, best, True):
            return
        assert time.monotonic() < until, told
        time.sleep(0.2)


@pytest.mark.slow
def test_runs_that_hold_predictions(
    shelf: Shelf, mlflow_server: MlflowServer, make_settings: MakeSettings
) -> None:
    name = uuid.uuid4().hex
    settings = make_settings(mlflow_tracking_uri=mlflow_server.uri, ledger_experiment=name)
    experiment = shelf.client.create_experiment(name)
    run = shelf.client.create_run(experiment, tags={"slipway.kind": "serving"})
    shelf.client.log_metric(run.info.run_id, "count", 7)
    # Newer than all others, and yet not what was trained last; by name it is there.
    assert run.info.run_id not in {one["run_id"] for one in recent_runs(settings, 100)}
    assert [one["run_id"] for one in recent_runs(settings, 5, name)] == [run.info.run_id]
    found = next(one for one in experiments(settings) if one["name"] == name)
    assert (found["total_runs"], found["best_run"], found["complete"]) == (1, None, True)


def test_before_the_first_use(make_settings: MakeSettings) -> None:
    settings = make_settings()
    assert experiments(settings) == []
    assert recent_runs(settings) == []
