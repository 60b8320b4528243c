"""What the commands about jobs share: the database, the way to change a job, and words for it."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli import ledger_sources
from services.cli.console import UsageError
from services.cli.ledger_sources import clock, span
from services.core import embedded
from services.core.errors import NotFoundError
from services.core.settings import Settings, get_settings
from services.jobs.names import QUEUES
from services.ledger.database.job_rows import QUEUED, RUNNING, STATE_NAMES, SUCCEEDED, Job

if TYPE_CHECKING:
    from services.jobs.sync import JobStore
    from services.ledger.database.opening import Database

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Id = Annotated[
    str, typer.Argument(metavar="ID", help="What the answer of 202 says.", show_default=False)
]
Queue = Annotated[str | None, typer.Option(help=f"Only this queue: {', '.join(QUEUES)}.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

STYLES = {
    "succeeded": "green", "healthy": "green", "running": "cyan", "failed": "red",
    "expired": "yellow", "canceled": "yellow", "dead": "bold red", "unavailable": "bold red",
}  # fmt: skip


def settings() -> Settings:
    """Return the settings, with the Redis that `slipway run` started where they name none."""
    found = get_settings()
    if found.redis_url is not None or not found.jobs:
        return found
    server = embedded.running(found.data_dir, embedded.REDIS)
    return found if server is None else found.model_copy(update={"redis_url": server.uri})


@contextmanager
def opened() -> "Iterator[Database | None]":
    """Open the database for the block; None where there is none yet: looking makes none.

    Raises:
        LedgerUnavailableError: it does not answer.
    """
    with ledger_sources.opened(needed=True) as ledger:
        yield ledger.database


@contextmanager
def store() -> "Iterator[JobStore]":
    """Open what changes jobs, for the block."""
    from services.jobs.sync import JobStore

    opened = JobStore(settings())
    try:
        yield opened
    finally:
        opened.close()


def job_id(text: str) -> str:
    """Return an id as the database has it.

    Raises:
        UsageError: it is none.
    """
    wanted = text.strip().lower()
    if not _UUID.fullmatch(wanted):
        raise UsageError("That is no id of a job.", where="ID", expected="a UUID")
    return wanted


def get(database: "Database | None", wanted: str) -> Job:
    """Return a job.

    Raises:
        NotFoundError: there is none of that id.
    """
    found = None
    if database is not None:
        from services.ledger.database import jobs

        with database.reading() as connection:
            found = jobs.get(connection, wanted)
    if found is None:
        raise NotFoundError(
            "There is no such job here (any more).", where="ID", expected="slipway jobs list"
        )
    return found


def queue(name: str | None) -> str | None:
    """Return a queue's name.

    Raises:
        UsageError: there is no such queue.
    """
    if name is None or name in QUEUES:
        return name
    raise UsageError("There is no such queue.", where="--queue", expected=", ".join(QUEUES))


def status(job: Job) -> str:
    """Return how it stands with a job."""
    if job.state == RUNNING and job.cancel:
        return "running, to be canceled"
    return STATE_NAMES[job.state]


def took(job: Job) -> str:
    """Return how long it waits, has run, or took."""
    if job.state == QUEUED or job.started is None:
        return "" if job.ended else f"waits {span(time.time() - job.created / 1e6)}"
    end = time.time() if job.completed is None else job.completed / 1e6
    seconds = max(0.0, end - job.started / 1e6)
    return f"{seconds * 1000:.0f} ms" if seconds < 2 else span(seconds)


def moment(microseconds: int | None) -> str | None:
    """Return a point in time for people."""
    return None if microseconds is None else clock(microseconds / 1e6)


def as_json(job: Job) -> dict[str, Any]:
    """Return a job for programs; times are seconds since 1970."""
    times = {
        name: None if value is None else value / 1e6
        for name, value in (
            ("created_at", job.created),
            ("started_at", job.started),
            ("completed_at", job.completed),
            ("expires_at", job.expires if job.state == QUEUED else None),
            ("leased_until", job.leased_until),
        )
    }
    return {
        "id": job.id, "status": STATE_NAMES[job.state], "queue": job.queue, "task": job.task,
        "subject": job.subject, "mode": job.mode, "attempts": job.attempts, **times,
        "cancel": job.cancel, "worker": job.worker, "caller": job.caller,
        "request_id": job.request_id, "options": job.options, "payload": job.payload,
        "progress": job.progress, "result": job.result, "error": job.error,
    }  # fmt: skip


def succeeded(job: Job) -> bool:
    """Whether all went well."""
    return job.state == SUCCEEDED
