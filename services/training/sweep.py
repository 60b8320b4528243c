"""Several trainings of a family with different parameters, and the best of them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.core.errors import CheckpointError, SlipwayError
from services.core.settings import Settings
from services.families.base import Fitted, Report, Split, TrainableFamily
from services.registry.catalogue import Stage
from services.training.judge import judge, judge_fitted
from services.training.parameters import complete
from services.training.publish import Release, keep, publish
from services.training.run import Note, begin, fit, tags, threads
from services.training.search import Sampler, draw, study, varied
from services.training.tracking import Desk, TrainingRun

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, slots=True)
class Trial:
    """One training of a sweep.

    Attributes:
        number: from 1.
        params: those that the sweep drew.
        metrics: on held-out data; empty if it failed.
        error: why it failed; None if it did not.
    """

    number: int
    run_id: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What came of a sweep.

    Attributes:
        run_id: of the run above those of the trials.
        metric: by which the best was chosen; higher is better.
        trials: in the order in which they ran.
        best: the one with the highest metric, the earliest of equals.
        model_uri: where MLflow has the best trial's model.
        name: under which that is or would be registered.
        version: the registry's number; None if it was not registered.
    """

    family: str
    experiment: str
    run_id: str
    link: str | None
    metric: str
    trials: tuple[Trial, ...]
    best: Trial
    seconds: float
    model_uri: str
    name: str
    version: str | None = None
    stage: Stage | None = None


@dataclass(slots=True)
class _Sweep:
    """A sweep under way, and the only model of it that is kept in memory: the best so far."""

    family: TrainableFamily
    desk: Desk
    settings: Settings
    fixed: Mapping[str, Any]
    split: Split
    seed: int
    trials: list[Trial] = field(default_factory=list)
    best: tuple[Trial, Fitted] | None = None


def sweep(
    family: TrainableFamily,
    *,
    runs: int,
    sampler: Sampler,
    seed: int,
    source: Path | None,
    settings: Settings,
    fixed: Mapping[str, Any],
    register_best: bool = False,
    stage: Stage | None = None,
    version_tag: str | None = None,
    run_name: str | None = None,
    experiment: str | None = None,
    report: Report | None = None,
    note: Note | None = None,
    on_trial: Callable[[Trial | None, int], None] | None = None,
) -> SweepResult:
    """Train `runs` times with parameters drawn anew, and keep the best model.

    A trial that fails is recorded and does not end the sweep. The same seed draws the same
    parameters and gives the same metrics.

    Args:
        fixed: parameters that are not varied.
        register_best: whether to put the best model, and only that, into the registry.
        on_trial: called with None and the number when a trial begins, and with it when it ended.

    Raises:
        InvalidInputError: a parameter or the data cannot be used, or nothing is left to vary.
        RegistryUnavailableError: MLflow does not answer.
        CheckpointError: every trial failed.
    """
    params = complete(family, fixed)
    space = varied(family, fixed)
    tell = note or (lambda message: None)
    started = time.perf_counter()
    desk = Desk.open(settings, experiment, family.experiment or family.name)
    with threads(settings.threads):
        tell("reading data")
        split = family.read(source, params)
        about = {**tags(family), "slipway.sweep": sampler}
        with TrainingRun(desk, name=run_name or f"{family.name}-sweep", tags=about) as parent:
            begin(parent, split, {**fixed, "num_runs": runs, "sampler": sampler}, seed)
            work = _Sweep(family, desk, settings, fixed, split, seed)
            searching = study(sampler, seed)
            for number in range(1, runs + 1):
                if on_trial is not None:
                    on_trial(None, number)
                trial = _trial(work, searching, space, number, parent.id, report)
                if on_trial is not None:
                    on_trial(trial, number)
            tell("keeping the best model")
            return _finish(
                work, parent, started,
                register=register_best, stage=stage, version_tag=version_tag,
            )  # fmt: skip


def _trial(
    work: _Sweep,
    searching: "optuna.Study",
    space: list[Any],
    number: int,
    parent: str,
    report: Report | None,
) -> Trial:
    """Run one trial; a failure of it is its result."""
    asked = searching.ask()
    drawn = draw(asked, space)
    chosen = complete(work.family, {**work.fixed, **drawn})
    about = {**tags(work.family), "mlflow.parentRunId": parent}
    run = TrainingRun(work.desk, name=f"{work.family.name}-{number}", tags=about)
    try:
        with run:
            begin(run, work.split, chosen, work.seed)
            fitted, seconds = fit(work.family, work.split, chosen, work.seed, run, report)
            name = work.family.registered_name(chosen)
            metrics = judge_fitted(work.family, fitted, name, work.split.held_out, work.settings)
            run.final({**metrics, "training_seconds": seconds})
    except Exception as error:
        searching.tell(asked, state=_failed())
        why = error.message if isinstance(error, SlipwayError) else type(error).__name__
        trial = Trial(number, run.id, drawn, error=why)
    else:
        value = metrics[work.family.gates.metric]
        searching.tell(asked, value)
        trial = Trial(number, run.id, drawn, metrics, seconds)
        if work.best is None or value > work.best[0].metrics[work.family.gates.metric]:
            work.best = (trial, fitted)
    work.trials.append(trial)
    return trial


def _failed() -> "optuna.trial.TrialState":
    from optuna.trial import TrialState

    return TrialState.FAIL


def _finish(
    work: _Sweep,
    parent: TrainingRun,
    started: float,
    *,
    register: bool,
    stage: Stage | None,
    version_tag: str | None,
) -> SweepResult:
    """Save the best model on its own run, judge it as saved, and register it where asked."""
    if work.best is None:
        raise CheckpointError("Every trial of the sweep failed.", where=work.trials[0].error)
    best, fitted = work.best
    family = work.family
    name = family.registered_name(complete(family, {**work.fixed, **best.params}))
    with keep(work.desk, best.run_id, family, fitted, name) as kept:
        metrics = judge(family, kept.artifact, work.split.held_out, work.settings)
    parent.params({f"best_{key}": value for key, value in best.params.items()})
    parent.tags({"slipway.best_run": best.run_id})
    parent.final(metrics)
    version = None
    if register:
        story = f"Best of {len(work.trials)} runs of a sweep."
        release = Release(name, stage, version_tag, story)
        version = publish(work.desk, best.run_id, family, kept.uri, release)
    return SweepResult(
        family=family.name,
        experiment=work.desk.name,
        run_id=parent.id,
        link=work.desk.link(parent.id),
        metric=family.gates.metric,
        trials=tuple(work.trials),
        best=best,
        seconds=time.perf_counter() - started,
        model_uri=kept.uri,
        name=name,
        version=None if version is None else version.version,
        stage=None if version is None else version.stage,
    )
