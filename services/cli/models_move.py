"""`slipway models promote`, `archive` and `rollback`: move versions between stages, unchecked."""

from typing import Annotated

import typer

from services.cli.console import err, out
from services.cli.models_registry import Desk, Name, Version, desk, label, stage
from services.registry.catalogue import RegisteredModel, Stage


def promote(
    name: Name,
    version: Version,
    to: Annotated[str, typer.Option("--stage", help="Where it goes.")] = "production",
) -> None:
    """Move a version to a stage at once. `slipway deploy` checks it first."""
    wanted = stage(to) or Stage.PRODUCTION
    _move(name, version, wanted, actor="slipway models promote")
    err.print(f"It was not checked; slipway deploy --model {name} --version {version} does.")


def archive(name: Name, version: Version) -> None:
    """Put a version away; it can be promoted again."""
    _move(name, version, Stage.ARCHIVED, actor="slipway models archive")


def rollback(name: Name) -> None:
    """Bring the version back that held production before."""
    here = desk()
    before = _look(here, name).production
    ref = here.registry.rollback(name, actor="slipway models rollback")
    out.print(f"{name}: version {label(ref)} is back in production; {label(before)} was.")


def _move(name: str, version: str, to: Stage, *, actor: str) -> None:
    from services.rollout import choose

    here = desk()
    _look(here, name)
    ref = choose.version(here.registry.versions(name), version)
    if ref.stage is to:
        err.print(f"Version {label(ref)} of {name} is in {to} already.")
        return
    moved = here.registry.transition(name, ref.version, to, actor=actor)
    out.print(f"{name}: version {label(moved)} went from {ref.stage} to {moved.stage}.")


def _look(here: Desk, name: str) -> RegisteredModel:
    from services.rollout.deploy import look

    return look(here.registry, name)
