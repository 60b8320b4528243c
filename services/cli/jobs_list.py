"""`slipway jobs list`: the newest jobs."""

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from services.cli import jobs_sources as sources
from services.cli.console import UsageError, err, out
from services.cli.jobs_sources import STYLES, AsJson, Queue
from services.cli.ledger_sources import clock, plain
from services.ledger.database.job_rows import STATE_NAMES

if TYPE_CHECKING:
    from services.ledger.database.job_rows import Job

# What the API calls them.
_ALSO = {"starting": "queued", "processing": "running"}


def show(
    status: Annotated[
        str | None, typer.Option(help=f"Only those that are {', '.join(STATE_NAMES)}.")
    ] = None,
    queue: Queue = None,
    task: Annotated[
        str | None, typer.Option(help="Only what does this: predict, predict_batch, train, sweep.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "--subject", help="Only of this model, or family.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000)] = 20,
    as_json: AsJson = False,
) -> None:
    """List the newest jobs, the newest first."""
    state, name = _state(status), sources.queue(queue)
    found: list[Job] = []
    with sources.opened() as database:
        if database is not None:
            from services.ledger.database import job_lists

            with database.reading() as connection:
                found = job_lists.listing(
                    connection, state=state, queue=name, task=task, subject=model, limit=limit
                )
    if as_json:
        listed = [sources.as_json(job) for job in found]
        out.print(json.dumps({"jobs": listed, "count": len(listed)}, indent=2, ensure_ascii=False))
    elif found:
        out.print(_table(found))
    else:
        err.print("There are no such jobs here.")


def _table(found: "list[Job]") -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("id", "created (UTC)", "queue", "task", "model", "status", "attempts", "took"):
        table.add_column(heading, overflow="fold")
    for job in found:
        status = sources.status(job)
        table.add_row(
            job.id, clock(job.created / 1e6)[:19], job.queue, job.task, plain(job.subject),
            Text(status, style=STYLES.get(status, "")), str(job.attempts), sources.took(job),
        )  # fmt: skip
    return table


def _state(status: str | None) -> int | None:
    if status is None:
        return None
    name = _ALSO.get(status.lower(), status.lower())
    if name not in STATE_NAMES:
        raise UsageError("That is no status.", where="--status", expected=", ".join(STATE_NAMES))
    return STATE_NAMES.index(name)
