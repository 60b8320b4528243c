"""`slipway jobs show`: everything about one job."""

import json
from typing import TYPE_CHECKING, Any

from rich.table import Table

from services.cli import jobs_sources as sources
from services.cli.console import out
from services.cli.jobs_sources import AsJson, Id
from services.cli.ledger_sources import plain

if TYPE_CHECKING:
    from services.ledger.database.job_rows import Job

# Longer values than a screen has room for; --json shows all.
_MOST = 2000


def show(job: Id, as_json: AsJson = False) -> None:
    """Show one job: how it stands, who does it, its input, result or error."""
    wanted = sources.job_id(job)
    with sources.opened() as database:
        found = sources.get(database, wanted)
    if as_json:
        out.print(json.dumps(sources.as_json(found), indent=2, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in _rows(found).items():
        if value is not None:
            table.add_row(name, plain(value))
    out.print(table)


def _rows(job: "Job") -> dict[str, str | None]:
    error = job.error
    return {
        "id": job.id,
        "status": f"{sources.status(job)} {sources.took(job)}".strip(),
        "task": f"{job.task} {job.subject}",
        "queue": f"{job.queue} ({job.mode})",
        "created (UTC)": sources.moment(job.created),
        "started": sources.moment(job.started),
        "completed": sources.moment(job.completed),
        "expires": None if job.ended else sources.moment(job.expires),
        "attempts": str(job.attempts),
        "worker": job.worker,
        "caller": job.caller,
        "request": job.request_id,
        "options": _text(job.options),
        "input": None if job.payload is None else f"blob {job.payload}",
        "webhook": _text(job.webhook),
        "progress": _text(job.progress),
        "result": _text(job.result),
        "error": f"{error.get('code')}: {error.get('message')}" if error else None,
    }


def _text(value: Any) -> str | None:
    if value in (None, {}):
        return None
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MOST else f"{text[:_MOST]} … (--json shows all)"
