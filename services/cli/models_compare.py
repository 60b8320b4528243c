"""`slipway models compare`: two versions side by side."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from services.cli import models_checks, models_registry
from services.cli.console import out
from services.cli.models_registry import Name, desk, label, print_json

if TYPE_CHECKING:
    from services.rollout.compare import Comparison


def compare(
    name: Name,
    first: Annotated[str, typer.Argument(help="A version, or its tag.", show_default=False)],
    second: Annotated[str, typer.Argument(help="The one to set against it.", show_default=False)],
    data: models_checks.Data = None,
    target: models_checks.Target = None,
    max_latency_ms: models_checks.MaxLatency = None,
    checks: Annotated[
        bool,
        typer.Option("--checks/--no-checks", help="Open both here, judge and time them."),
    ] = True,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Compare two versions: metrics and parameters of their runs, and the checks of a deployment.

    Changes nothing; the exit code does not depend on what is found.
    """
    options = models_checks.options(data, target, max_latency_ms=max_latency_ms)
    from services.rollout.compare import compare as run

    here = desk()
    found = run(
        here.registry, here.families, here.settings, name, (first, second),
        details=lambda ref: models_registry.details(here, ref),
        options=options if checks else None,
        note=models_checks.note,
    )  # fmt: skip
    if json:
        print_json(found.as_json())
    else:
        _print(found)


def _print(found: "Comparison") -> None:
    versions = (label(found.first.ref), label(found.second.ref))
    if found.metrics():
        out.print(_table("metric", versions, found.metrics()))
    if found.params():
        out.print()
        out.print(_table("parameter", versions, found.params()))
    if found.checks:
        out.print()
        out.print(f"{found.name}: version {versions[1]} against version {versions[0]}, here")
        out.print(models_checks.table(found.checks))


def _table(what: str, versions: tuple[str, str], pairs: Mapping[str, tuple[Any, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in (what, *versions, "difference"):
        table.add_column(heading, overflow="fold")
    for name, pair in pairs.items():
        table.add_row(name, *(_text(value) for value in pair), _difference(*pair))
    return table


def _text(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _difference(first: Any, second: Any) -> str:
    if isinstance(first, float) and isinstance(second, float):
        return f"{second - first:+.4g}" if first != second else "="
    return "=" if first == second else "differs"
