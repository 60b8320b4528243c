"""`slipway ledger prune`: apply every retention setting now."""

from typing import Annotated

import typer

from services.cli import ledger_sources as sources
from services.cli.console import FAILED, describe, err, out
from services.core.errors import SlipwayError


def prune(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would go; delete nothing.")
    ] = False,
) -> None:
    """Delete what is older or larger than the LEDGER_…_DAYS, _ROWS and _BYTES allow.

    In the database, beside the journal and in MLflow. The shipper does the same once an hour.
    Records on their way to MLflow are never touched.

    Exit code 0: all of it was done; 1: some could not be, and it says which and why.
    """
    with sources.opened(needed=True) as ledger:
        if ledger.database is None:
            err.print("No prediction is on record here yet.")
            return
        from services.ledger.shipping.upkeep import Tasks

        failed: dict[str, None] = {}
        tasks = Tasks(ledger.settings, ledger.database, ledger.places, dry_run=dry_run)
        out.print(f"{'what':18}  {'to do' if dry_run else 'done':>9}")
        for task in tasks.all():
            count, more = 0, True
            try:
                while more:
                    applied, more = task()
                    count += applied.count
            except SlipwayError as error:
                failed[describe(error)] = None
                continue
            out.print(f"{applied.what:18}  {count:>9,}  {applied.detail}".rstrip())
    for reason in failed:
        err.print(f"error: {sources.plain(reason)}", style="bold red")
    if failed:
        raise typer.Exit(FAILED)
    if dry_run:
        err.print("Nothing was deleted (--dry-run).")
