"""`slipway ledger`: what becomes of the records of predictions."""

import typer

from services.cli import (
    ledger_export,
    ledger_prune,
    ledger_resend,
    ledger_ship,
    ledger_show,
    ledger_status,
    ledger_tail,
)

app = typer.Typer(help="Records of predictions, and their way to MLflow.", no_args_is_help=True)
app.command("status")(ledger_status.status)
app.command("tail")(ledger_tail.tail)
app.command("show")(ledger_show.show)
app.command("export")(ledger_export.export)
app.command("resend")(ledger_resend.resend)
app.command("prune")(ledger_prune.prune)
app.command("ship")(ledger_ship.ship)
