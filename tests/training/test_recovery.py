"""What a worker that died has left in MLflow is taken up, or put in order; nothing twice."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services import families
from services.core.settings import Settings
from services.registry.catalogue import Stage
from services.registry.registry import Registry
from services.training import publish, recovery
from services.training.errand import Begun, Errand
from services.training.run import TrainingResult, train
from services.training.sweep import sweep
from services.training.tracking import Desk, TrainingRun, abandon
from tests.conftest import MakeSettings
from tests.training.store import client
from tests.training.toy import FAMILY, found

JOB = "01937f5c-9f2b-7cc0-8000-6f1e5b9a3d21"


class Died(BaseException):
    """Stands for the end of a process: nothing after it runs."""


@pytest.fixture
def settings(
    make_settings: MakeSettings, mlflow_uri: str, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    monkeypatch.setattr(families, "discover", found)
    return make_settings(mlflow_tracking_uri=mlflow_uri)


@pytest.fixture
def toy(settings: Settings) -> Callable[..., TrainingResult]:
    """Train the toy family for a job."""

    def run(**given: Any) -> TrainingResult:
        usual = {"params": {}, "seed": 0, "source": None, "register": True}
        return train(FAMILY, **{**usual, "settings": settings, "errand": Errand(JOB), **given})

    return run


def runs(settings: Settings) -> list[Any]:
    here = client(settings)
    there = here.get_experiment_by_name("toys")
    return list(here.search_runs([there.experiment_id]))


def dying(monkeypatch: pytest.MonkeyPatch, where: Any, name: str) -> None:
    """Let the process die in a function, so that its run is left as it is."""

    def die(*_: Any, **__: Any) -> Any:
        raise Died

    monkeypatch.setattr(TrainingRun, "end", lambda *_: None)
    monkeypatch.setattr(where, name, die)


def test_the_run_and_the_version_carry_the_job(
    toy: Callable[..., TrainingResult], settings: Settings
) -> None:
    begun: list[Begun] = []
    result = toy(errand=Errand(JOB, begun.append))
    (run,) = runs(settings)
    assert [one.run_id for one in begun] == [result.run_id] == [run.info.run_id]
    assert run.data.tags["slipway.job_id"] == JOB
    (version,) = Registry(settings, found()).versions("toy-model")
    assert version.tags["slipway.job_id"] == JOB


def test_a_job_that_is_not_ours_any_more_registers_nothing(
    toy: Callable[..., TrainingResult], settings: Settings
) -> None:
    def refuse() -> None:
        raise Died

    with pytest.raises(Died):
        toy(errand=Errand(JOB, check=refuse))
    assert client(settings).search_registered_models() == []
    assert runs(settings)[0].info.status == "KILLED"


def test_a_run_that_was_left_is_failed_and_the_job_begins_anew(
    toy: Callable[..., TrainingResult], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        dying(patch, Registry, "register")
        with pytest.raises(Died):
            toy()
    assert [run.info.status for run in runs(settings)] == ["RUNNING"]
    assert recovery.take_up(settings, JOB, "toys", None) is None
    (run,) = runs(settings)
    assert (run.info.status, run.data.tags["slipway.error"]) == ("FAILED", recovery.LOST)


def test_what_was_registered_is_the_result(
    toy: Callable[..., TrainingResult], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        dying(patch, Registry, "transition")
        with pytest.raises(Died):
            toy(stage=Stage.PRODUCTION, version_tag="3.0.0")
    result = recovery.take_up(settings, JOB, "toys", Stage.PRODUCTION)
    assert result is not None
    (run,) = runs(settings)
    assert run.info.status == "FINISHED"
    assert (result["run_id"], result["version"], result["stage"]) == (
        run.info.run_id, "1", Stage.PRODUCTION,
    )  # fmt: skip
    assert result["metrics"]["accuracy"] == run.data.metrics["accuracy"]
    (version,) = Registry(settings, found()).versions("toy-model")
    assert (version.stage, version.tags["version"]) == (Stage.PRODUCTION, "3.0.0")


def test_two_workers_on_one_job_register_one_version(
    toy: Callable[..., TrainingResult], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both find nothing and register: the one that comes second takes its version back."""
    first = publish.registered
    with monkeypatch.context() as patch:
        looks: list[Any] = []

        def blind(desk: Desk, job: str) -> list[Any]:
            looks.append(job)
            if len(looks) == 1:
                # Between this one's look and its registration the other registers.
                patch.setattr(publish, "registered", first)
                toy()
                return []
            raise AssertionError

        patch.setattr(publish, "registered", blind)
        late = toy()
    assert looks == [JOB]
    (version,) = Registry(settings, found()).versions("toy-model")
    assert (version.version, late.version) == ("1", "1")


def test_a_sweep_is_taken_up_as_well(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        dying(patch, publish, "_link")
        with pytest.raises(Died):
            sweep(
                FAMILY, runs=2, sampler="random", seed=0, source=None, settings=settings,
                fixed={"guess": "middle"}, register_best=True, errand=Errand(JOB),
            )  # fmt: skip
    result = recovery.take_up(settings, JOB, "toys", None)
    assert result is not None
    assert (result["name"], result["version"], result["metric"]) == ("toy-model", "1", "accuracy")
    assert {run.info.status for run in runs(settings)} == {"FINISHED"}


def test_runs_of_jobs_that_nobody_works_on_are_ended(
    toy: Callable[..., TrainingResult], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = {"dead": "FAILED", "canceled": "KILLED", "busy": None}
    with monkeypatch.context() as patch:
        dying(patch, Registry, "register")
        for job in left:
            with pytest.raises(Died):
                toy(errand=Errand(job))
    assert recovery.close_left(settings, left.__getitem__) == 2
    ended = {run.data.tags["slipway.job_id"]: run.info.status for run in runs(settings)}
    assert ended == {"dead": "FAILED", "canceled": "KILLED", "busy": "RUNNING"}


def test_nothing_is_asked_of_an_mlflow_that_is_not_there_yet(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    settings = make_settings(mlflow_tracking_uri=f"sqlite:///{tmp_path / 'none.db'}")
    assert recovery.close_left(settings, lambda job: "FAILED") == 0
    assert not (tmp_path / "none.db").exists()


def test_a_process_that_is_to_end_marks_its_runs(settings: Settings) -> None:
    desk = Desk.open(settings, "toys", "toys")
    run, other = (TrainingRun(desk, name=None, tags={}) for _ in range(2))
    other.end()
    abandon("The job was canceled.", 5.0)
    here = client(settings)
    assert here.get_run(run.id).info.status == "KILLED"
    assert here.get_run(run.id).data.tags["slipway.error"] == "The job was canceled."
    assert here.get_run(other.id).info.status == "FINISHED"
    run.end()
