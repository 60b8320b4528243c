"""`slipway ledger ship`: take records to MLflow, here and now."""

from importlib import import_module

import typer


def ship() -> None:
    """Take records to the database and to MLflow until Ctrl-C or SIGTERM.

    The same as `python -m services.ledger`. `slipway run` starts one itself; a second one waits
    until the first is gone. Logs go to standard output.
    """
    raise typer.Exit(import_module("services.ledger.__main__").main())
