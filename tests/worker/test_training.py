"""Trainings in a real worker, written to a real MLflow: watched, cancelled, taken up again."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psutil
import pytest

from services.core.cores import available_cores
from services.families import discover
from services.jobs.reconciler import Reconciler
from services.ledger.database import jobs
from services.ledger.database.job_rows import CANCELED, SUCCEEDED, Job
from services.training.order import Order, Search, checked, named
from tests.support.jobs_stand import Running, Stand, wait
from tests.support.mlflow_server import MlflowServer, mlflow_server
from tests.training.store import client

__all__ = ["mlflow_server"]

pytestmark = pytest.mark.slow

_SECONDS = 300.0
# What is promised is two seconds; the machine of a test may be busy with others.
_CANCEL_SECONDS = 60.0
FAMILIES = discover()


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory, mlflow_server: MlflowServer) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("stand")
    with Stand(folder, job_lease=3, mlflow_tracking_uri=mlflow_server.uri) as made:
        made.start("services.worker", "training").wait_for("ready.")
        yield made


@pytest.fixture
def worker(stand: Stand) -> Running:
    return stand.running[0]


def submit(stand: Stand, name: str, search: Search | None = None, **params: Any) -> str:
    family, implied = named(FAMILIES, name)
    given = {**implied, **params}
    chosen = checked(family, given, varying=search is not None)
    order = Order(family.name, chosen, "worker-training", search=search)
    return stand.submit(
        None,
        queue="training",
        task="train" if search is None else "sweep",
        subject=family.name,
        options=order.as_json(),
    )


def under_way(stand: Stand, id: str, epoch: int = 1) -> Job:
    """Wait until a training has told of some epochs."""
    wait(lambda: stand.job(id).ended or _epoch(stand.job(id)) >= epoch, _SECONDS, stand.running[0])
    job = stand.job(id)
    assert not job.ended, job.error
    return job


def _epoch(job: Job) -> int:
    return int((job.progress or {}).get("epoch", -1))


def runs(stand: Stand, id: str) -> list[Any]:
    """Return the runs of a job in MLflow, the oldest first."""
    here = client(stand.settings)
    there = here.get_experiment_by_name("worker-training")
    found = here.search_runs([there.experiment_id], f"tags.`slipway.job_id` = '{id}'")
    return sorted(found, key=lambda run: run.info.start_time)


def versions(stand: Stand, id: str) -> list[Any]:
    return list(client(stand.settings).search_model_versions(f"tags.`slipway.job_id` = '{id}'"))


def cancel(stand: Stand, id: str) -> None:
    with stand.database.begin() as connection:
        jobs.cancel(connection, id, int(time.time() * 1e6))


def trial_processes(worker: Running) -> list[psutil.Process]:
    found = []
    for one in psutil.Process(worker.pid).children(recursive=True):
        with suppress(psutil.Error):  # gone meanwhile
            if "services.training.trial_process" in one.cmdline():
                found.append(one)
    return found


def test_a_training_is_watched_and_registered_once(stand: Stand) -> None:
    id = submit(stand, "digits", epochs=2)
    job = stand.ended(id, _SECONDS)
    assert job.state == SUCCEEDED, job.error
    (run,) = runs(stand, id)
    assert run.info.status == "FINISHED"
    assert job.result["run_id"] == run.info.run_id
    assert job.result["metrics"]["accuracy"] == run.data.metrics["accuracy"]
    assert str(run.info.run_id) in job.result["link"]
    (version,) = versions(stand, id)
    assert (version.name, version.version) == ("MNISTClassifier", job.result["version"])
    assert job.progress["run_id"] == run.info.run_id


def test_a_cancel_stops_it_and_its_run_is_killed(stand: Stand) -> None:
    id = submit(stand, "digits", epochs=200)
    under_way(stand, id)
    began = time.monotonic()
    cancel(stand, id)
    wait(lambda: runs(stand, id)[0].info.status == "KILLED", _CANCEL_SECONDS, stand.running[0])
    assert stand.ended(id, _CANCEL_SECONDS).state == CANCELED
    assert time.monotonic() - began < _CANCEL_SECONDS
    assert versions(stand, id) == []


def test_a_worker_that_dies_leaves_no_run_behind(stand: Stand, worker: Running) -> None:
    id = submit(stand, "digits", epochs=200)
    under_way(stand, id)
    for child in worker.children():
        os.kill(child, signal.SIGKILL)
    reconciler = Reconciler(stand.settings)
    try:

        def taken_again() -> bool:
            reconciler.tick()
            job = stand.job(id)
            return job.attempts == 2 and len(runs(stand, id)) == 2

        wait(taken_again, _SECONDS, worker)
    finally:
        reconciler.close()
    first, _ = runs(stand, id)
    assert (first.info.status, first.data.tags["slipway.error"]) == (
        "FAILED",
        "The worker was lost.",
    )
    cancel(stand, id)
    wait(lambda: runs(stand, id)[1].info.status == "KILLED", _CANCEL_SECONDS, worker)


def test_a_sweep_that_is_canceled_leaves_no_process(stand: Stand, worker: Running) -> None:
    id = submit(stand, "digits", Search(runs=3, sampler="random", parallel=2), epochs=200)
    cores = available_cores()
    wait(lambda: len(trial_processes(worker)) == min(2, cores), _SECONDS, worker)
    processes = trial_processes(worker)
    cancel(stand, id)
    assert stand.ended(id, _CANCEL_SECONDS).state == CANCELED
    wait(lambda: not any(one.is_running() for one in processes), _CANCEL_SECONDS, worker)
    wait(
        lambda: {run.info.status for run in runs(stand, id)} == {"KILLED"},
        _CANCEL_SECONDS,
        worker,
    )
