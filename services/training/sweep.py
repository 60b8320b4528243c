"""Several trainings of a family with different parameters, and the best of them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.core.errors import CheckpointError
from services.core.settings import Settings
from services.families.base import Parameter, Report, TrainableFamily
from services.registry.catalogue import Stage
from services.training import baseline
from services.training.errand import Begun, Errand
from services.training.judge import judge
from services.training.listening import Heard
from services.training.parameters import complete
from services.training.publish import Release, keep, publish
from services.training.run import Note, begin, tags, threads
from services.training.search import Sampler, draw, study, varied
from services.training.tracking import Desk, TrainingRun
from services.training.trials import Asked, Candidate, Ground, Here, Runner, SideBySide, Trial

if TYPE_CHECKING:
    import optuna


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

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


OnTrial = Callable[[Trial | None, int], None]


@dataclass(slots=True)
class _Sweep:
    """A sweep under way, and the only model of it that is kept: the best so far."""

    ground: Ground
    fixed: Mapping[str, Any]
    space: list[Parameter]
    searching: "optuna.Study"
    tell: OnTrial
    errand: Errand
    trials: list[Trial] = field(default_factory=list)
    best: tuple[Trial, Candidate] | None = None


def sweep(
    family: TrainableFamily,
    *,
    runs: int,
    sampler: Sampler,
    seed: int,
    source: Path | None,
    settings: Settings,
    fixed: Mapping[str, Any],
    parallel: int = 1,
    register_best: bool = False,
    stage: Stage | None = None,
    version_tag: str | None = None,
    run_name: str | None = None,
    experiment: str | None = None,
    report: Report | None = None,
    note: Note | None = None,
    on_trial: OnTrial | None = None,
    errand: Errand | None = None,
) -> SweepResult:
    """Train `runs` times with parameters drawn anew, and keep the best model.

    A trial that fails is recorded and does not end the sweep. The same seed draws the same
    parameters and gives the same metrics: with `random` however many run at once, with `tpe` for
    the same `parallel`, for it learns from the trials before in rounds of so many.

    Args:
        fixed: parameters that are not varied.
        parallel: trials at once, each in a process of its own; never more than there are cores.
        register_best: whether to put the best model, and only that, into the registry.
        report: of a trial's epochs, while there is one at a time.
        on_trial: called with None and the number when a trial begins, and with it when it ended.
        errand: the job that it is done for.

    Raises:
        InvalidInputError: a parameter or the data cannot be used, or nothing is left to vary.
        RegistryUnavailableError: MLflow does not answer.
        CheckpointError: every trial failed.
    """
    params = complete(family, fixed)
    space = varied(family, fixed)
    tell = note or (lambda message: None)
    errand = errand or Errand()
    started = time.perf_counter()
    desk = Desk.open(settings, experiment, family.experiment or family.name)
    with threads(settings.threads):
        tell("reading data")
        split = family.read(source, params)
        about = {**tags(family), **errand.tags, "slipway.sweep": sampler}
        with TrainingRun(desk, name=run_name or f"{family.name}-sweep", tags=about) as parent:
            errand.begun(Begun(desk.name, parent.id, desk.link(parent.id)))
            begin(parent, split, {**fixed, "num_runs": runs, "sampler": sampler}, seed)
            below = {**tags(family), **errand.tags, "mlflow.parentRunId": parent.id}
            ground = Ground(family, desk, settings, split, source, seed, below)
            work = _Sweep(ground, fixed, space, study(sampler, seed), on_trial or _untold, errand)
            with _runner(ground, params, parallel, report) as runner:
                _search(work, runner, runs, _round(sampler, parallel, runs))
                tell("keeping the best model")
                release = Release("", stage, version_tag, job=errand.id) if register_best else None
                return _finish(work, parent, started, release)


def _runner(
    ground: Ground, params: Mapping[str, Any], parallel: int, report: Report | None
) -> Runner:
    return Here(ground, report) if parallel == 1 else SideBySide(ground, params, parallel)


def _round(sampler: Sampler, parallel: int, runs: int) -> int:
    """Return how many trials are drawn before the next look at what came of them.

    As many as are asked for at once, not as there are cores: the same on every machine.
    """
    return runs if sampler == "random" and parallel > 1 else parallel


def _search(work: _Sweep, runner: Runner, runs: int, size: int) -> None:
    """Run every trial, a round after the other."""
    metric = work.ground.family.gates.metric
    for first in range(1, runs + 1, size):
        proposed: dict[int, optuna.Trial] = {}
        asked: list[Asked] = []
        for number in range(first, min(first + size, runs + 1)):
            proposed[number] = work.searching.ask()
            drawn = draw(proposed[number], work.space)
            params = complete(work.ground.family, {**work.fixed, **drawn})
            asked.append(Asked(number, drawn, params))
        ended: dict[int, Trial] = {}
        for heard in runner.run(asked):
            if isinstance(heard, Asked):
                work.tell(None, heard.number)
                continue
            trial, candidate = heard
            ended[trial.number] = trial
            _compare(work, trial, candidate)
            work.tell(trial, trial.number)
        for number, trial in sorted(ended.items()):
            work.trials.append(trial)
            if trial.error is None:
                work.searching.tell(proposed[number], trial.metrics[metric])
            else:
                work.searching.tell(proposed[number], state=_failed())


def _compare(work: _Sweep, trial: Trial, candidate: Candidate | None) -> None:
    """Keep the better model: the earlier of equals, whichever came in first."""
    if candidate is None:
        return
    metric = work.ground.family.gates.metric
    if work.best is not None:
        best, kept = work.best
        if (trial.metrics[metric], -trial.number) < (best.metrics[metric], -best.number):
            candidate.discard()
            return
        kept.discard()
    work.best = trial, candidate


def _failed() -> "optuna.trial.TrialState":
    from optuna.trial import TrialState

    return TrialState.FAIL


def _untold(trial: Trial | None, number: int) -> None:
    return


def _finish(
    work: _Sweep, parent: TrainingRun, started: float, release: Release | None
) -> SweepResult:
    """Save the best model on its own run, judge it as saved, and register it where asked."""
    if work.best is None:
        raise CheckpointError("Every trial of the sweep failed.", where=work.trials[0].error)
    best, candidate = work.best
    family, desk = work.ground.family, work.ground.desk
    name = family.registered_name(complete(family, {**work.fixed, **best.params}))
    held_out, heard = work.ground.split.held_out, Heard()
    with keep(desk, best.run_id, family, candidate.fitted, name) as kept:
        metrics = judge(family, kept.artifact, held_out, work.ground.settings, heard)
    baseline.keep(desk, best.run_id, family, heard, candidate.fitted.signature)
    parent.params({f"best_{key}": value for key, value in best.params.items()})
    parent.tags({"slipway.best_run": best.run_id})
    parent.final(metrics)
    result = SweepResult(
        family=family.name,
        experiment=desk.name,
        run_id=parent.id,
        link=desk.link(parent.id),
        metric=family.gates.metric,
        trials=tuple(work.trials),
        best=best,
        seconds=time.perf_counter() - started,
        model_uri=kept.uri,
        name=name,
    )
    if release is None:
        return result
    story = f"Best of {len(work.trials)} runs of a sweep."
    # A tag has no room for every trial; each has its run.
    work.errand.keep(parent, {**result.as_json(), "trials": []})
    version = publish(
        desk, best.run_id, family, kept.uri, replace(release, name=name, description=story)
    )
    return replace(result, version=version.version, stage=version.stage)
