"""Experiments and runs as MLflow has them."""

import uuid

import pytest

from services.core.errors import NotFoundError
from services.registry.runs import experiments, recent_runs
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


def test_before_the_first_use(make_settings: MakeSettings) -> None:
    settings = make_settings()
    assert experiments(settings) == []
    assert recent_runs(settings) == []
