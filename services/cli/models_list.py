"""`slipway models list`: what is registered, and the weights that can be had besides."""

from typing import Annotated, Any

import typer
from rich.table import Table

from services.cli import models_registry as registered
from services.cli import models_weights
from services.cli.console import err, out
from services.cli.models_registry import Desk, desk, family_name, label
from services.core.settings import get_settings
from services.registry.catalogue import RegisteredModel, Stage, VersionRef


def show(
    only: Annotated[
        str | None,
        typer.Option("--stage", help="Only models with a version in this stage."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """List the registered models and their versions; then weights that models can be made of."""
    wanted = registered.stage(only)
    settings = get_settings()
    here = desk() if registered.exists(settings) else None
    models = [] if here is None else _models(here, wanted)
    if json:
        found = [] if here is None else [_json(here, model) for model in models]
        registered.print_json({"models": found, "total_count": len(found)})
        return
    if here is not None and models:
        out.print(_table(here, models, wanted))
    elif wanted is not None:
        err.print(f"No registered model has a version in {wanted}.")
    else:
        err.print("No model is registered yet; slipway seed-models trains and registers some.")
    if wanted is None:
        out.print()
        out.print(models_weights.table(settings))


def _models(here: Desk, wanted: Stage | None) -> list[RegisteredModel]:
    found = here.registry.snapshot().models
    models = [found[name] for name in sorted(found)]
    return [model for model in models if wanted is None or _in_stage(here, model, wanted)]


def _in_stage(here: Desk, model: RegisteredModel, wanted: Stage) -> list[VersionRef]:
    held = {Stage.PRODUCTION: model.production, Stage.STAGING: model.staging}
    if wanted in held:
        ref = held[wanted]
        return [] if ref is None else [ref]
    return [ref for ref in here.registry.versions(model.name) if ref.stage is wanted]


def _table(here: Desk, models: list[RegisteredModel], wanted: Stage | None) -> Table:
    table = Table(box=None, pad_edge=False)
    last = "latest" if wanted is None else f"newest in {wanted}"
    for heading in ("model", "family", "production", "staging", last, "age"):
        table.add_column(heading, overflow="fold")
    for model in models:
        ref = model.latest if wanted is None else _in_stage(here, model, wanted)[0]
        state = "–" if ref is None else f"{label(ref)} {ref.stage}"
        table.add_row(
            model.name, family_name(here, model.production or ref), label(model.production),
            label(model.staging), state, "–" if ref is None else registered.age(ref.created),
        )  # fmt: skip
    return table


def _json(here: Desk, model: RegisteredModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "family": family_name(here, model.production or model.latest),
        "description": model.description,
        "production": registered.as_json(model.production),
        "staging": registered.as_json(model.staging),
        "latest": registered.as_json(model.latest),
        "aliases": dict(model.aliases),
    }
