"""`slipway ledger resend`: look at what was refused for good, and send it again."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from services.cli import ledger_sources as sources
from services.cli.console import FAILED, UsageError, describe, err, out
from services.cli.ledger_sources import Ledger, plain
from services.core.errors import LedgerUnavailableError, SlipwayError

if TYPE_CHECKING:
    from services.ledger.shipping.deadletters import Letter

_SINKS = ("traces", "parquet", "records", "feedback")
# Letters of a sink that are shown; the others most likely have the same reasons.
_MOST_SHOWN = 20


def resend(
    sink: Annotated[
        str | None, typer.Option(help=f"Only what was meant for this: {', '.join(_SINKS)}.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Send without asking.")] = False,
) -> None:
    """Show what was refused for good, with the reasons, and send it again.

    What goes through leaves the dead letters, what is refused again stays; nothing arrives twice.
    Where nobody can be asked, it sends only with --yes.

    Exit code 0: all were sent, or none were to be; 1: some are left, and it says why.
    """
    if sink is not None and sink not in _SINKS:
        raise UsageError("That is none.", where="--sink", expected=", ".join(_SINKS))
    with sources.opened() as ledger:
        found = _letters(ledger, sink)
        if not found:
            err.print("Nothing lies aside.")
            return
        out.print(_table(found))
        if not yes:
            if not sys.stdin.isatty():
                err.print("Nothing was sent; --yes sends them again.")
                return
            if not typer.confirm("Send them again?", err=True):
                err.print("Nothing was sent.")
                return
        left = [_send(ledger, name) for name in _SINKS if name in {one.sink for one in found}]
    if any(left):
        raise typer.Exit(FAILED)


def _letters(ledger: Ledger, sink: str | None) -> "list[Letter]":
    # The libraries that send take a second to import.
    if not any(ledger.places.dead.glob("*.jsonl")):
        return []
    from services.ledger.shipping import deadletters

    return deadletters.letters(ledger.places, sink)


def _table(found: "Sequence[Letter]") -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("since (UTC)", "for", "prediction", "model", "reason"):
        table.add_column(heading, overflow="fold")
    for name in _SINKS:
        some = [letter for letter in found if letter.sink == name]
        for letter in some[:_MOST_SHOWN]:
            record = letter.record if isinstance(letter.record, dict) else {}
            identity = record.get("prediction_id") or record.get("id") or "–"
            cells = (identity, record.get("model") or "–", letter.error)
            table.add_row(sources.clock(letter.time), name, *map(plain, cells))
        if len(some) > _MOST_SHOWN:
            table.add_row("", name, f"and {len(some) - _MOST_SHOWN:,} more", "", "")
    return table


def _send(ledger: Ledger, sink: str) -> bool:
    """Send a sink's letters and say what went; return whether any are left."""
    import httpx

    from services.ledger.shipping import deadletters

    try:
        if ledger.database is None:
            raise ledger.trouble or LedgerUnavailableError("The ledger's database is not there.")
        result = deadletters.resend(ledger.settings, ledger.database, ledger.places, sink)
    except SlipwayError as error:
        reason = describe(error)
    except (httpx.HTTPError, OSError) as error:
        reason = f"{type(error).__name__}: {error}"
    else:
        went = "handed to the shipper" if sink == "feedback" else "sent"
        reason = result.reason or ""
        out.print(f"{sink}: {result.sent:,} {went}, {result.left:,} left")
        if not result.left:
            return False
    err.print(f"error: {sink}: {plain(reason)}", style="bold red")
    return True
