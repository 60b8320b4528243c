"""How checks of a version are shown, and the options that every command with checks has."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from services.cli.console import err
from services.cli.models_registry import usage

if TYPE_CHECKING:
    from services.rollout.checks import Check, Options

_STYLES = {"passed": "green", "failed": "bold red", "skipped": "yellow"}

Data = Annotated[
    Path | None,
    typer.Option(help="Held-out examples to judge both versions by.", exists=True),
]
Target = Annotated[
    str | None,
    typer.Option(help="Column of --data that holds the right answer, for any kind of model."),
]
MaxLatency = Annotated[
    float | None,
    typer.Option(
        "--max-latency-ms", min=0.001, help="Milliseconds that the median answer may take."
    ),
]


def options(
    data: Path | None,
    target: str | None,
    skip: Sequence[str] = (),
    max_latency_ms: float | None = None,
    tolerance: float | None = None,
) -> "Options":
    """Return the options of the checks.

    Raises:
        UsageError: they contradict each other.
    """
    from services.rollout.checks import Options

    names = frozenset(name.strip() for text in skip for name in text.split(",") if name.strip())
    limit = None if max_latency_ms is None else max_latency_ms / 1000
    return usage(
        lambda: Options(
            data=data, target=target, skip=names, max_latency=limit, tolerance=tolerance
        )
    )


def table(checks: "Sequence[Check]") -> Table:
    """Return one row for each check."""
    result = Table(box=None, pad_edge=False)
    for heading in ("check", "outcome", "figures"):
        result.add_column(heading, overflow="fold")
    for check in checks:
        outcome = str(check.outcome)
        result.add_row(check.name, Text(outcome, style=_STYLES[outcome]), check.detail)
    return result


def note(name: str) -> None:
    """Say what is being checked, to a person who waits."""
    if err.is_terminal:
        err.print(f"checking: {name} …", style="dim")
