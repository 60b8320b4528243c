"""A training, recorded in a real MLflow on SQLite: what is logged, how it ends, what is kept."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services import families
from services.core.errors import CheckpointError, ConflictError, InvalidInputError
from services.core.settings import Settings
from services.registry.catalogue import Stage
from services.registry.registry import Registry
from services.training.run import TrainingResult, train
from tests.conftest import MakeSettings
from tests.training.store import client
from tests.training.toy import FAMILY, found

Train = Callable[..., TrainingResult]


@pytest.fixture
def settings(make_settings: MakeSettings, mlflow_uri: str) -> Settings:
    return make_settings(mlflow_tracking_uri=mlflow_uri)


@pytest.fixture
def toy(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Train the toy family."""
    monkeypatch.setattr(families, "discover", found)

    def run(**given: Any) -> TrainingResult:
        usual = {"params": {}, "seed": 0, "source": None, "settings": settings}
        return train(FAMILY, **{**usual, **given})

    return run


def runs(settings: Settings, experiment: str = "toys") -> list[Any]:
    here = client(settings)
    there = here.get_experiment_by_name(experiment)
    return [] if there is None else list(here.search_runs([there.experiment_id]))


def test_everything_about_a_training_is_logged(toy: Train, settings: Settings) -> None:
    result = toy(params={"rounds": 7}, seed=3, run_name="first")
    (run,) = runs(settings)
    assert run.info.run_id == result.run_id
    assert (run.info.status, run.info.run_name) == ("FINISHED", "first")
    params = run.data.params
    assert {"rounds": "7", "learning_rate": "0.1", "seed": "3"}.items() <= params.items()
    assert (params["data_rows"], params["data_rows_held_out"]) == ("150", "50")
    assert params["data_digest"] == result.data_digest
    assert run.data.metrics["accuracy"] == result.metrics["accuracy"]
    assert run.data.metrics["training_seconds"] == pytest.approx(result.seconds)
    curve = client(settings).get_metric_history(run.info.run_id, "train_accuracy")
    assert [point.step for point in curve] == list(range(1, 8))
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("generated", result.data_digest[:36])
    tags = run.data.tags
    assert tags["slipway.family"] == "toy"
    assert tags["mlflow.user"]
    assert {"environment.python", "environment.torch", "environment.device"} <= tags.keys()


def test_the_run_names_the_commit_of_a_checkout(toy: Train, settings: Settings) -> None:
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("this is no checkout")
    toy()
    assert runs(settings)[0].data.tags["mlflow.source.git.commit"] == done.stdout.strip()


def test_the_same_seed_gives_the_same_metrics(toy: Train, settings: Settings) -> None:
    def curve(result: TrainingResult) -> list[float]:
        history = client(settings).get_metric_history(result.run_id, "train_accuracy")
        return [point.value for point in history]

    one, two, other = toy(seed=1), toy(seed=1), toy(seed=2)
    assert one.metrics == two.metrics
    assert curve(one) == curve(two)
    assert curve(one) != curve(other)


def test_nothing_is_registered_unasked(toy: Train, settings: Settings) -> None:
    result = toy()
    assert (result.version, result.stage) == (None, None)
    assert Registry(settings, found()).snapshot().models == {}


def test_a_version_is_registered_and_moved(toy: Train, settings: Settings) -> None:
    first = toy(register=True, stage=Stage.PRODUCTION, version_tag="1.0.0", description="One.")
    second = toy(register=True, stage=Stage.PRODUCTION, version_tag="1.1.0", seed=1)
    assert (first.name, first.version, first.stage) == ("toy-model", "1", Stage.PRODUCTION)
    model = Registry(settings, found()).snapshot().models["toy-model"]
    assert model.production is not None and model.previous is not None
    assert model.production.version == second.version == "2"
    assert model.production.tags["version"] == "1.1.0"
    assert model.production.run_id == second.run_id
    assert model.previous.version == "1"
    assert model.previous.stage is Stage.ARCHIVED


def test_what_is_registered_is_what_was_judged(toy: Train, settings: Settings) -> None:
    result = toy(register=True)
    registry = Registry(settings, found())
    artifact = registry.fetch(registry.find("toy-model", version="1"))
    model = FAMILY.open(artifact, settings)
    held_out = FAMILY.read(None, {}).held_out
    assert FAMILY.evaluate(model, held_out) == dict(result.metrics)
    assert artifact.example == {"number": 0.5}
    assert artifact.signature == model.signature


@pytest.mark.parametrize(("flaw", "error"), [("flawed", RuntimeError), ("mute", CheckpointError)])
def test_a_failure_is_marked_and_registers_nothing(
    toy: Train, settings: Settings, flaw: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        toy(params={flaw: True}, register=True, stage=Stage.PRODUCTION)
    (run,) = runs(settings)
    assert run.info.status == "FAILED"
    assert run.data.tags["slipway.error"]
    assert "alice" not in run.data.tags["slipway.error"]
    assert client(settings).search_registered_models() == []


def test_an_interruption_is_marked_and_registers_nothing(toy: Train, settings: Settings) -> None:
    def interrupt(done: int, total: int, metrics: Any) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        toy(report=interrupt, register=True)
    (run,) = runs(settings)
    assert run.info.status == "KILLED"
    assert client(settings).search_registered_models() == []


def test_data_that_cannot_be_read_leave_no_run(
    toy: Train, settings: Settings, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("0.1,0\n0.9,1\nmany,1\n")
    with pytest.raises(InvalidInputError) as refused:
        toy(source=bad)
    assert refused.value.where == "line 3"
    assert runs(settings) == []


def test_parameters_are_checked_before_anything_else(toy: Train, settings: Settings) -> None:
    with pytest.raises(InvalidInputError):
        toy(params={"rounds": 0})
    assert client(settings).get_experiment_by_name("toys") is None


def test_the_experiment_is_the_one_asked_for_then_the_one_set(
    toy: Train, make_settings: MakeSettings, mlflow_uri: str
) -> None:
    named = make_settings(mlflow_tracking_uri=mlflow_uri, experiment_name="set")
    both = make_settings(
        mlflow_tracking_uri=mlflow_uri, experiment_name="set", mlflow_experiment_name="mlflow's"
    )
    assert toy(settings=named).experiment == "set"
    assert toy(settings=both).experiment == "mlflow's"
    assert toy(settings=both, experiment="asked").experiment == "asked"


def test_a_deleted_experiment_is_not_trained_in(toy: Train, settings: Settings) -> None:
    here = client(settings)
    here.delete_experiment(here.create_experiment("toys"))
    with pytest.raises(ConflictError, match="deleted"):
        toy()


def test_files_stay_in_the_data_folder(
    toy: Train, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    toy(register=True)
    assert list(elsewhere.iterdir()) == []
    assert list((settings.data_dir / "mlflow" / "artifacts").rglob("toy.json"))


def test_the_embedded_mlflow_is_the_default(
    toy: Train, make_settings: MakeSettings, mlflow_template: Path
) -> None:
    settings = make_settings()
    folder = settings.data_dir / "mlflow"
    folder.mkdir()
    (folder / "mlflow.db").write_bytes(mlflow_template.read_bytes())
    result = toy(settings=settings)
    assert result.link is None
    assert [run.info.run_id for run in runs(settings)] == [result.run_id]
