"""Trials side by side: each process starts, works, may die, and is gone afterwards."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.core.settings import Settings
from services.families import discover
from services.families.base import Fitted, Picture, TrainableFamily
from services.training import handover
from services.training.pool import Pool, Task
from services.training.sweep import SweepResult, sweep
from services.training.trials import Trial
from tests.conftest import MakeSettings
from tests.support.patience import PATIENCE
from tests.training.store import client
from tests.training.toy import SIGNATURE

FOUND = discover()["tabular"]
assert isinstance(FOUND, TrainableFamily)
FAMILY = FOUND
# Small, and what is left to draw matters.
FIXED = {"rows": 200, "n_estimators": 5}


@pytest.fixture
def settings(make_settings: MakeSettings, mlflow_uri: str) -> Settings:
    return make_settings(mlflow_tracking_uri=mlflow_uri, num_threads=2)


def swept(settings: Settings, **given: Any) -> SweepResult:
    usual = {"runs": 4, "sampler": "random", "seed": 3, "source": None, "fixed": FIXED}
    return sweep(FAMILY, **{**usual, "settings": settings, **given})


def processes() -> list[int]:
    """Return the trial processes that this process has started and that are there."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue
            if b"services.training.trial_process" in words and int(parent) == os.getpid():
                found.append(int(entry.name))
    return found


@pytest.fixture(autouse=True)
def _none_is_left() -> Iterator[None]:
    yield
    assert processes() == []


@pytest.mark.parametrize("example", [{"number": 0.5}, None, Picture(b"\xff\xd8")])
def test_a_model_is_handed_over_as_it_is(tmp_path: Path, example: Any) -> None:
    def save(folder: Path) -> None:
        (folder / "toy.json").write_text("0.25")

    fitted = Fitted(save, SIGNATURE, example, {"guess": "middle"})
    handover.write(fitted, tmp_path / "model")
    came = handover.read(tmp_path / "model")
    assert (came.signature, came.example, came.config) == (SIGNATURE, example, fitted.config)
    (tmp_path / "again").mkdir()
    came.save(tmp_path / "again")
    assert (tmp_path / "again" / "toy.json").read_text() == "0.25"


def test_a_process_that_cannot_begin_is_an_answer(settings: Settings) -> None:
    start = {"settings": settings.model_dump(mode="json"), "family": "none", "threads": 1}
    with Pool(start, 2) as pool:
        heard = list(pool.run([Task(number, {}) for number in (1, 2)]))
    ends = [one for one in heard if one.last]
    assert sorted(one.number for one in ends) == [1, 2]
    assert all("died (exit code 1)" in str(one.body) for one in ends)


@pytest.mark.slow
def test_side_by_side_gives_what_one_after_the_other_gives(settings: Settings) -> None:
    def told(result: SweepResult) -> list[Any]:
        return [(trial.number, trial.params, trial.metrics) for trial in result.trials]

    alone, together = swept(settings), swept(settings, parallel=3, register_best=True)
    assert told(alone) == told(together)
    assert alone.best.number == together.best.number
    assert together.version == "1"
    here = client(settings)
    below = here.search_runs(
        [here.get_run(together.run_id).info.experiment_id],
        f"tags.`mlflow.parentRunId` = '{together.run_id}'",
    )
    assert {run.info.status for run in below} == {"FINISHED"}
    assert {run.info.run_id for run in below} == {trial.run_id for trial in together.trials}
    assert all({"train_accuracy", "training_seconds"} <= run.data.metrics.keys() for run in below)
    assert all("environment.device" in run.data.tags for run in below)


@pytest.mark.slow
def test_a_trial_whose_process_dies_has_failed_and_the_sweep_goes_on(settings: Settings) -> None:
    killed: list[int] = []

    def kill(trial: Trial | None, number: int) -> None:
        if trial is None and number == 2 and processes() and not killed:
            killed.extend(processes())
            for process in killed:
                os.kill(process, signal.SIGKILL)

    result = swept(settings, parallel=2, on_trial=kill)
    failed = [trial for trial in result.trials if trial.error]
    assert killed and len(failed) == len(killed)
    assert failed[0].error == "The trial's process died (signal 9)."
    assert client(settings).get_run(failed[0].run_id).info.status == "FAILED"
    assert result.best.error is None


def test_an_interruption_ends_every_trial_at_once(settings: Settings) -> None:
    def interrupt(trial: Trial | None, number: int) -> None:
        if trial is None and number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        swept(settings, parallel=2, on_trial=interrupt)
    assert processes() == []
    here = client(settings)
    known = [here.get_experiment_by_name("tabular-classification").experiment_id]
    assert [run.info.status for run in here.search_runs(known)] == ["KILLED"] * 3


def test_a_process_ends_when_the_one_that_started_it_is_gone(settings: Settings) -> None:
    """Its input ends with whoever wrote to it, however that ended."""
    start = {
        "settings": settings.model_dump(mode="json"), "family": "tabular", "source": None,
        "params": FAMILY.defaults(), "threads": 1,
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "services.training.trial_process"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps(start) + "\n")
    process.stdin.close()
    assert process.wait(PATIENCE) == 0
    assert process.stdout.read() == ""
    process.stdout.close()
