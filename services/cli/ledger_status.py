"""`slipway ledger status`: whether records reach MLflow, and what holds them up."""

import json
from typing import Any

import typer
from rich.table import Table
from rich.text import Text

from services.cli import ledger_sources as sources
from services.cli.console import FAILED, err, out
from services.cli.ledger_sources import AsJson, plain, size, span
from services.cli.ledger_state import collect

_STYLES = {"up": "green", "down": "bold red"}


def status(as_json: AsJson = False) -> None:
    """Show what waits for MLflow, who takes it there, and what is wrong.

    Exit code 0: all is well; 1: records wait because of an error, and it says which.
    """
    with sources.opened() as ledger:
        found = collect(ledger)
    if as_json:
        out.print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column()
        table.add_column(overflow="fold")
        for name, value in _rows(found):
            table.add_row(name, value)
        out.print(table)
    for problem in found["problems"]:
        err.print(plain(problem), style="bold red")
    if found["problems"]:
        raise typer.Exit(FAILED)


def _rows(found: dict[str, Any]) -> list[tuple[str, Text]]:
    journal, traces, letters = found["journal"], found["traces"], found["dead_letters"]
    share = journal["bytes"] / journal["limit"]
    noun = "prediction" if journal["pending"] == 1 else "predictions"
    oldest = f", the oldest {span(journal['oldest_seconds'])} old" if journal["pending"] else ""
    feedback = found["feedback"]
    thinned = f", {traces['thinned']:,} thinned out, {traces['share']:.0%} are sent now"
    kinds = ", ".join(f"{name} {count:,}" for name, count in letters.items() if count)
    rows = {
        "recording": "on" if found["recording"] else "off (LEDGER=false)",
        "journal": f"{size(journal['bytes'])} of {size(journal['limit'])} ({share:.1%}), "
        f"{journal['files']} files",
        "waiting": f"{journal['pending']:,} {noun}{oldest}",
        "not indexed": size(journal["unindexed_bytes"]),
        "shipper": _shipper(found["shipper"]),
        "MLflow": found["mlflow"]["state"],
        "Parquet": f"{found['rows_stored']:,} predictions in {found['parts_stored']:,} parts",
        "traces": f"{traces['sent']:,} sent, {traces['waiting']:,} wait{thinned}",
        "feedback": f"{feedback['attached']:,} attached, {feedback['pending']:,} wait",
        "dead letters": kinds or "none",
        "damaged": size(found["damaged_bytes"]),
        "database": f"{found['database']['kind']}, {_database(found['database']['state'])}",
    }
    return [(name, Text(plain(text), style=_STYLES.get(text, ""))) for name, text in rows.items()]


def _shipper(shipper: dict[str, Any]) -> str:
    if shipper["up"]:
        return f"up (process {shipper['pid']})"
    if shipper["hangs"]:
        return f"hangs (process {shipper['pid']})"
    age = shipper["seconds_since_status"]
    return "down" if age is None else f"down, last heard of {span(age)} ago"


def _database(state: str) -> str:
    return {"up": "up", "down": "does not answer", "none": "not there yet"}[state]
