"""`slipway seed-models`: the demo models, trained and put into production."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.console import FAILED, UsageError, err, out
from services.cli.training_progress import figures, interruptible
from services.core.errors import InvalidInputError
from services.core.settings import get_settings

if TYPE_CHECKING:
    from services.training.seed import Seeded


def seed_models(
    only: Annotated[
        str | None, typer.Option(help="Only this model, or family.", show_default=False)
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Train a new version even of those in production.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Train and register the demo models; those in production already are left as they are."""
    settings = get_settings()
    from services.training import seed

    def done(result: "Seeded") -> None:
        if not as_json:
            out.print(line(result))

    with interruptible():
        try:
            results = seed.seed_models(settings, err.print, only=only, force=force, on_done=done)
        except InvalidInputError as error:
            raise UsageError(error.message, where="--only", expected=error.expected) from None
    if as_json:
        out.print(json.dumps([asdict(result) for result in results], indent=2))
    if any(result.outcome == "failed" for result in results):
        raise typer.Exit(FAILED)


def line(result: "Seeded") -> str:
    """Return what became of one model, as a line."""
    if result.outcome == "present":
        return f"{result.name}: in production already"
    if result.outcome == "failed":
        return f"{result.name}: failed after {result.seconds:.1f} s: {result.error}"
    measured = figures(result.metrics or {})
    return f"{result.name}: in production after {result.seconds:.1f} s, {measured}".rstrip(", ")
