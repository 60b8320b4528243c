"""`slipway train`: fit a model, judge it as it will be served, and register it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from services.cli.console import UsageError, err, out
from services.cli.family_commands import group
from services.cli.train_queue import hand_over, queued_order
from services.cli.train_segmenter import segmenter
from services.cli.training_progress import TrainingProgress, interruptible
from services.core.errors import InvalidInputError
from services.core.settings import get_settings
from services.families.base import TrainableFamily
from services.registry.catalogue import Stage

if TYPE_CHECKING:
    from services.training.run import TrainingResult

Seed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Same seed, same metrics.")]
Data = Annotated[
    Path | None,
    typer.Option("--data", "--data-path", help="What to learn from; else what Slipway brings.",
                 exists=True, show_default=False),
]  # fmt: skip
Experiment = Annotated[
    str | None, typer.Option(help="MLflow experiment; else the family's own.", show_default=False)
]
RunName = Annotated[str | None, typer.Option(help="Name of the run.", show_default=False)]
StageName = Annotated[
    str | None,
    typer.Option(help="Stage to move it to: staging, production (implies registering).",
                 show_default=False),
]  # fmt: skip
VersionTag = Annotated[
    str | None,
    typer.Option("--version", "--model-version", show_default=False,
                 help="Your own version, such as 1.0.0, kept as a tag (implies registering)."),
]  # fmt: skip
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def train(
    family: TrainableFamily,
    params: Mapping[str, Any],
    *,
    seed: Seed = 0,
    data: Data = None,
    experiment_name: Experiment = None,
    run_name: RunName = None,
    register: Annotated[
        bool | None,
        typer.Option("--register/--no-register", "--register-model", show_default=False,
                     help="Put it into the registry."),
    ] = None,
    stage: StageName = None,
    version: VersionTag = None,
    description: Annotated[
        str, typer.Option(help="What is special about this version.", show_default=False)
    ] = "",
    as_json: AsJson = False,
    queue: Annotated[
        bool, typer.Option("--queue", help="Have a worker do it: print the job's id and return.")
    ] = False,
) -> None:  # fmt: skip
    """Train a family's model, show it happening, and print what came of it."""
    wanted = wanted_stage(stage)
    registering = wants_registration(register, stage=wanted, version=version)
    if queue:
        order = queued_order(family, params, experiment_name, data)
        order = replace(
            order, seed=seed, register=registering, stage=wanted, version_tag=version,
            description=description, run_name=run_name,
        )  # fmt: skip
        hand_over(order, as_json=as_json)
        return
    settings = get_settings()
    from services.training import run as training

    with interruptible(), TrainingProgress(err, family.name) as progress:
        result = training.train(
            family,
            params=params,
            seed=seed,
            source=data,
            settings=settings,
            register=registering,
            stage=wanted,
            version_tag=version,
            description=description,
            run_name=run_name,
            experiment=experiment_name,
            report=progress.report,
            note=progress.note,
        )
    if as_json:
        out.print(json.dumps(result.as_json(), indent=2))
        return
    out.print(summary(result))
    err.print(following(result))


def wanted_stage(text: str | None) -> Stage | None:
    """Return the stage that an option names.

    Raises:
        UsageError: there is no such stage.
    """
    if text is None:
        return None
    from services.registry.stages import parse_stage

    try:
        return parse_stage(text)
    except InvalidInputError as error:
        raise UsageError(error.message, where="--stage", expected=error.expected) from None


def wants_registration(register: bool | None, *, stage: Stage | None, version: str | None) -> bool:
    """Say whether the options ask for registration.

    Raises:
        UsageError: they contradict each other.
    """
    implied = stage is not None or version is not None
    if register is False and implied:
        raise UsageError(
            "Only a registered version has a stage or a version.",
            where="--no-register",
            expected="--register, or neither --stage nor --version",
        )
    return implied if register is None else register


def summary(result: "TrainingResult") -> Table:
    """Return what came of a training, as a table of two columns."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in result.metrics.items():
        table.add_row(f"held-out {name}", f"{value:.4f}")
    table.add_row("trained in", f"{result.seconds:.1f} s")
    table.add_row("experiment", result.experiment)
    table.add_row("run", result.link or result.run_id)
    if result.version is not None:
        stage = "" if result.stage in {None, Stage.NONE} else f", {result.stage}"
        table.add_row("registered", f"{result.name} version {result.version}{stage}")
    return table


def following(result: "TrainingResult") -> str:
    """Return the command that a person probably wants next."""
    if result.version is None:
        return "not registered; add --register, or --stage production to serve it"
    if result.stage is Stage.PRODUCTION:
        return "a running Slipway serves it within seconds; else: slipway run"
    return f"next: slipway deploy --model {result.name} --version {result.version} --to production"


app = typer.Typer(
    help="Fit a model, judge it on held-out data, and register it.",
    no_args_is_help=True,
    cls=group(train, verb="Train", defaults=True),
)


@app.callback()
def _group() -> None:
    """Keep `segmenter` a command of its own beside those of the families."""


app.command("segmenter")(segmenter)
