"""`slipway drift status` and `check`."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from services.cli import ledger_sources
from services.cli.console import FAILED, err, out
from services.cli.ledger_sources import plain, span
from services.cli.models_registry import desk, exists, print_json
from services.core.settings import get_settings
from services.monitoring import drift_status
from services.monitoring.drift_status import DRIFT, NO_BASELINE, NOT_ENOUGH, OK, Version

if TYPE_CHECKING:
    from services.ledger.database.drift import State

_STYLES = {OK: "green", DRIFT: "bold red", NOT_ENOUGH: "yellow", NO_BASELINE: "dim"}
# Features of one model that there is room for.
_SHOWN = 20

Model = Annotated[
    str | None, typer.Argument(help="Only this model, with its features.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def status(model: Model = None, as_json: AsJson = False) -> None:
    """Show what the last looks found.

    Exit code 0: no version drifts; 1: one does.
    """
    states: list[State] = []
    with ledger_sources.opened(needed=True) as ledger:
        if ledger.database is not None:
            from services.ledger.database import drift

            with ledger.database.reading() as connection:
                states = drift.states(connection, model)
    _show([state for state in states if model is not None or state.stage is not None],
          model, as_json)  # fmt: skip


def check(
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Look now, as workers do every DRIFT_EVERY seconds.

    Writes down what it finds, and tells MLflow where the verdict is another one. Exit code 0: no
    version drifts; 1: one does.
    """
    states: list[State] = []
    if exists(get_settings()):
        from services.ledger.database.opening import open_database
        from services.monitoring.drift_watch import Watcher

        here = desk()
        database = open_database(here.settings)
        try:
            watcher = Watcher(here.settings, here.families, database, "slipway drift check")
            states = watcher.look(model, anew=True)
        finally:
            database.close()
    _show(states, model, as_json)


def _show(states: "Sequence[State]", model: str | None, as_json: bool) -> None:
    recording = get_settings().ledger
    found = [
        drift_status.entry(
            Version(state.model, state.version, state.stage), state, recording=recording
        )
        for state in states
    ]
    if as_json:
        print_json({"models": found, "total_count": len(found)})
    elif not found:
        err.print("No version in production or staging was looked at; slipway drift check does.")
    else:
        out.print(_table(found, {(one.model, one.version): one.checked for one in states}))
        for one in found if model is not None else ():
            _features(one)
    if any(one["drift_detected"] for one in found):
        raise typer.Exit(FAILED)


def _table(found: Sequence[Mapping[str, Any]], checked: Mapping[tuple[str, str], int]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("model", "version", "stage", "state", "score", "rows", "looked at", ""):
        table.add_column(heading, overflow="fold")
    for one in found:
        window, score = one["window"] or {}, one["score"]
        ago = max(0.0, time.time() - checked[one["model"], one["version"]] / 1e6)
        table.add_row(
            plain(one["model"]), one["version"], one["stage"] or "–",
            Text(one["state"], style=_STYLES.get(one["state"], "")),
            "–" if score is None else f"{score:.2f}",
            f"{window.get('samples', 0)}/{window.get('wanted', '–')}",
            f"{span(ago)} ago", plain(one["message"]),
        )  # fmt: skip
    return table


def _features(one: Mapping[str, Any]) -> None:
    """Print what was measured of a version's features, the highest score first."""
    parts = [part for part in (one["prediction"], one["confidence"]) if part is not None]
    listed = sorted([*parts, *one["features"]], key=lambda part: -part["score"])
    if not listed:
        return
    out.print(f"\nVersion {one['version']}, against {(one['baseline'] or {}).get('source')}:")
    table = Table(box=None, pad_edge=False)
    for heading in ("feature", "score", "psi", "ks", "p", "rows", "what changed"):
        table.add_column(heading, overflow="fold")
    for part in listed[:_SHOWN]:
        style = "bold red" if part["drifted"] else ""
        table.add_row(
            Text(plain(part["feature"]), style=style), f"{part['score']:.2f}",
            _number(part["psi"]), _number(part["ks"]), f"{part['p_value']:.2g}",
            str(part["samples"]), plain(part["note"]),
        )  # fmt: skip
    out.print(table)
    if len(listed) > _SHOWN:
        err.print(f"… and {len(listed) - _SHOWN} more (--json shows all).")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
