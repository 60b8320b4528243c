"""A sweep: a run above its trials, the best of them kept, and no more than that registered."""

from collections.abc import Callable
from typing import Any

import pytest

from services import families
from services.core.errors import CheckpointError, InvalidInputError
from services.core.settings import Settings
from services.families.base import Fitted, Report, Split
from services.registry.catalogue import Stage
from services.registry.registry import Registry
from services.training import sweep as sweeping
from services.training.sweep import SweepResult, sweep
from services.training.trials import Here
from tests.conftest import MakeSettings
from tests.training.store import client
from tests.training.toy import FAMILY, ToyFamily, found

Sweep = Callable[..., SweepResult]


@pytest.fixture
def settings(make_settings: MakeSettings, mlflow_uri: str) -> Settings:
    return make_settings(mlflow_tracking_uri=mlflow_uri)


@pytest.fixture
def toy(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """Sweep the toy family."""
    monkeypatch.setattr(families, "discover", found)

    def run(family: ToyFamily = FAMILY, **given: Any) -> SweepResult:
        usual = {"runs": 4, "sampler": "random", "seed": 0, "source": None, "fixed": {}}
        return sweep(family, **{**usual, "settings": settings, **given})

    return run


class Fragile(ToyFamily):
    """Fails in every trial that begins at the bottom."""

    def fit(self, split: Split, params: Any, seed: int, report: Report) -> Fitted:
        if params["guess"] == "bottom":
            raise RuntimeError("diverged on alice@example.org")
        return super().fit(split, params, seed, report)


def test_a_run_stands_above_its_trials(toy: Sweep, settings: Settings) -> None:
    result = toy()
    here = client(settings)
    there = here.get_experiment_by_name("toys").experiment_id
    below = here.search_runs([there], f"tags.`mlflow.parentRunId` = '{result.run_id}'")
    assert {run.info.run_id for run in below} == {trial.run_id for trial in result.trials}
    assert {run.info.status for run in below} == {"FINISHED"}
    best = here.get_run(result.best.run_id)
    assert best.data.metrics["accuracy"] == result.best.metrics["accuracy"]
    parent = here.get_run(result.run_id)
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["slipway.best_run"] == result.best.run_id
    assert parent.data.params["best_rounds"] == str(result.best.params["rounds"])
    assert len(here.search_logged_models([there])) == 1, "only the best model is kept"


def test_the_best_is_the_one_with_the_highest_metric(toy: Sweep) -> None:
    result = toy(runs=6)
    values = [trial.metrics["accuracy"] for trial in result.trials]
    assert result.best.metrics["accuracy"] == max(values)
    assert result.best.number == values.index(max(values)) + 1


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_the_same_seed_gives_the_same_sweep(toy: Sweep, sampler: str) -> None:
    def told(result: SweepResult) -> list[Any]:
        return [(trial.params, trial.metrics) for trial in result.trials]

    one, two = toy(sampler=sampler, seed=5), toy(sampler=sampler, seed=5)
    assert told(one) == told(two)
    assert told(one) != told(toy(sampler=sampler, seed=6))


@pytest.mark.parametrize(("sampler", "same"), [("random", True), ("tpe", False)])
def test_rounds_change_what_is_drawn_only_where_it_is_learned_from(
    toy: Sweep, monkeypatch: pytest.MonkeyPatch, sampler: str, same: bool
) -> None:
    """Trials at once are drawn together; what runs them is of no account here."""
    monkeypatch.setattr(
        sweeping, "_runner", lambda ground, params, parallel, report: Here(ground, report)
    )

    def drawn(parallel: int) -> list[Any]:
        fixed = {"pause": 0.0, "rounds": 1}
        result = toy(runs=14, sampler=sampler, parallel=parallel, fixed=fixed)
        assert [trial.number for trial in result.trials] == list(range(1, 15))
        return [trial.params for trial in result.trials]

    alone, rounds = drawn(1), drawn(4)
    assert rounds == drawn(4)
    assert (alone == rounds) is same


def test_what_is_given_is_not_varied(toy: Sweep) -> None:
    result = toy(fixed={"rounds": 2, "guess": "bottom"})
    assert all(set(trial.params) == {"learning_rate"} for trial in result.trials)
    assert result.name == "toy-model-bottom"


def test_nothing_is_registered_unasked(toy: Sweep, settings: Settings) -> None:
    assert toy(runs=2).version is None
    assert client(settings).search_registered_models() == []


def test_only_the_best_is_registered(toy: Sweep, settings: Settings) -> None:
    result = toy(
        fixed={"guess": "middle"}, register_best=True, stage=Stage.PRODUCTION, version_tag="2.0.0"
    )
    (version,) = Registry(settings, found()).versions("toy-model")
    assert (version.version, version.stage) == (result.version, Stage.PRODUCTION)
    assert (version.run_id, version.tags["version"]) == (result.best.run_id, "2.0.0")


def test_a_trial_that_fails_does_not_end_the_sweep(toy: Sweep, settings: Settings) -> None:
    result = toy(Fragile(), runs=6)
    failed = [trial for trial in result.trials if trial.error]
    assert len(result.trials) == 6
    assert failed and len(failed) < 6
    assert {trial.error for trial in failed} == {"RuntimeError"}
    run = client(settings).get_run(failed[0].run_id)
    assert run.info.status == "FAILED"
    assert result.best.error is None


def test_a_sweep_of_failures_fails(toy: Sweep, settings: Settings) -> None:
    with pytest.raises(CheckpointError, match="Every trial"):
        toy(Fragile(), runs=2, fixed={"guess": "bottom"}, register_best=True)
    here = client(settings)
    there = here.get_experiment_by_name("toys").experiment_id
    assert {run.info.status for run in here.search_runs([there])} == {"FAILED"}
    assert here.search_registered_models() == []


def test_an_interruption_ends_the_trial_and_the_sweep(toy: Sweep, settings: Settings) -> None:
    def interrupt(trial: Any, number: int) -> None:
        if trial is None and number == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        toy(on_trial=interrupt)
    here = client(settings)
    there = here.get_experiment_by_name("toys").experiment_id
    ended = sorted(run.info.status for run in here.search_runs([there]))
    assert ended == ["FINISHED", "FINISHED", "KILLED"]


def test_a_parameter_that_is_not_accepted_is_named(toy: Sweep) -> None:
    with pytest.raises(InvalidInputError) as refused:
        toy(fixed={"rounds": 99})
    assert refused.value.where == "rounds"
