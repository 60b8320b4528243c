"""`slipway sweep`: train a family many times with different parameters, and keep the best."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from services.cli.console import err, out
from services.cli.family_commands import as_options, group
from services.cli.train import (
    AsJson,
    Data,
    Experiment,
    RunName,
    Seed,
    StageName,
    VersionTag,
    wanted_stage,
)
from services.cli.training_progress import TrainingProgress, figures, interruptible
from services.core.settings import get_settings
from services.families.base import TrainableFamily

if TYPE_CHECKING:
    from services.training.sweep import SweepResult
    from services.training.trials import Trial


def sweep(
    family: TrainableFamily,
    fixed: Mapping[str, Any],
    *,
    num_runs: Annotated[int, typer.Option(min=1, max=10_000, help="Trainings.")] = 10,
    sampler: Annotated[
        Literal["random", "tpe"],
        typer.Option(help="How to draw parameters: tpe learns from the runs before."),
    ] = "random",
    parallel: Annotated[
        int,
        typer.Option(min=1, max=64, help="Trainings at once, each in a process of its own."),
    ] = 1,
    seed: Seed = 0,
    data: Data = None,
    experiment_name: Experiment = None,
    run_name: RunName = None,
    register_best: Annotated[
        bool, typer.Option("--register-best", help="Put the best model into the registry.")
    ] = False,
    stage: StageName = None,
    version: VersionTag = None,
    as_json: AsJson = False,
) -> None:
    """Sweep a family's parameters; those that are given stay as they are."""
    wanted = wanted_stage(stage)
    settings = get_settings()
    from services.training import sweep as training

    with interruptible(), TrainingProgress(err, family.name) as progress:

        def told(trial: "Trial | None", number: int) -> None:
            if trial is None and parallel == 1:
                progress.begin(f"run {number}/{num_runs}")
            elif trial is not None:
                which = "" if parallel == 1 else f"run {number}/{num_runs}: "
                progress.note(which + (trial.error or figures(trial.metrics)))

        result = training.sweep(
            family,
            runs=num_runs,
            sampler=sampler,
            seed=seed,
            source=data,
            settings=settings,
            fixed=fixed,
            parallel=parallel,
            register_best=register_best or wanted is not None or version is not None,
            stage=wanted,
            version_tag=version,
            run_name=run_name,
            experiment=experiment_name,
            report=progress.report,
            note=progress.note,
            on_trial=told,
        )
    if as_json:
        out.print(json.dumps(asdict(result), indent=2))
        return
    out.print(table(result))
    out.print(outcome(result, fixed))


def table(result: "SweepResult") -> Table:
    """Return every run with its parameters and metrics, the best marked."""
    drawn = list(result.best.params)
    names = [result.metric, *(name for name in result.best.metrics if name != result.metric)]
    shown = Table(box=None, pad_edge=False)
    for heading in ("", "run", *drawn, *names, "seconds"):
        shown.add_column(heading, overflow="fold")
    for trial in result.trials:
        best = trial.number == result.best.number
        measured = [f"{trial.metrics[name]:.4f}" if trial.metrics else "-" for name in names]
        values = [_short(trial.params[name]) for name in drawn]
        last = trial.error or f"{trial.seconds:.1f}"
        shown.add_row("*" if best else "", str(trial.number), *values, *measured, last)
    shown.caption = f"* the best by {result.metric}"
    shown.caption_justify = "left"
    return shown


def outcome(result: "SweepResult", fixed: Mapping[str, Any]) -> str:
    """Return what became of the best model, or how to train it again."""
    if result.version is not None:
        stage = f", {result.stage}" if result.stage and result.stage != "none" else ""
        return f"registered {result.name} version {result.version}{stage}"
    options = as_options({**fixed, **result.best.params})
    return f"not registered; add --register-best, or: slipway train {result.family} {options}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


app = typer.Typer(
    help="Train a family with different parameters, and keep the best model.",
    no_args_is_help=True,
    cls=group(sweep, verb="Sweep", defaults=False),
)


@app.callback()
def _group() -> None:
    """The commands are the families'."""
