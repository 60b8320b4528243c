"""`slipway jobs wait`, `cancel` and `retry`."""

import json
import time
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli import jobs_sources as sources
from services.cli.console import FAILED, UsageError, describe, err, out
from services.cli.jobs_sources import AsJson, Id, Queue
from services.core.errors import DeadlineExceededError, SlipwayError
from services.ledger.database.job_rows import DEAD, RUNNING, Job

if TYPE_CHECKING:
    from services.jobs.sync import JobStore
    from services.ledger.database.opening import Database

_POLL_SECONDS = 0.25
# Dead letters that are looked for at once.
_MANY = 500


def wait(
    job: Id,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds; 0: as long as it takes.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Wait until a job has ended, and say how.

    Exit code 0: it succeeded; 1: it did not, or not in time.
    """
    wanted = sources.job_id(job)
    with sources.opened() as database:
        found = _ended(database, wanted, timeout)
    _say(found, as_json)
    if not sources.succeeded(found):
        raise typer.Exit(FAILED)


def cancel(job: Id, as_json: AsJson = False) -> None:
    """Cancel a job: one that waits at once, one that runs within seconds.

    Exit code 0: it is canceled, or will be; 1: it had ended otherwise.
    """
    wanted = sources.job_id(job)
    with sources.opened() as database:
        # An answer even where there is no database yet, without making one.
        sources.get(database, wanted)
    with sources.store() as store:
        found = store.cancel(wanted)
    _say(found, as_json)
    if not found.cancel:
        err.print("It had ended before.")
        raise typer.Exit(FAILED)


def retry(
    job: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="The job.", show_default=False)
    ] = None,
    dead: Annotated[
        bool, typer.Option("--dead", help="All that lost every worker that began them.")
    ] = False,
    queue: Queue = None,
) -> None:
    """Queue a job that did not succeed once more, with all its attempts; or all dead letters.

    Exit code 0: it is queued, or all of them are; 1: it is not, or one of them.
    """
    if (job is None) != dead:
        raise UsageError("One of the two is needed.", where="ID or --dead")
    name = sources.queue(queue)
    if job is not None and name is not None:
        raise UsageError("A job has its queue.", where="--queue", expected="only with --dead")
    with sources.opened() as database:
        if job is not None:
            wanted = [sources.get(database, sources.job_id(job)).id]
        else:
            wanted = [] if database is None else _dead(database, name)
    if not wanted:
        err.print("No job is dead.")
        return
    with sources.store() as store:
        failed = [error for id in wanted if (error := _again(store, id)) is not None]
    if failed:
        err.print(f"{len(failed):,} of {len(wanted):,} were not queued: {describe(failed[0])}")
        raise typer.Exit(FAILED)


def _again(store: "JobStore", id: str) -> SlipwayError | None:
    try:
        store.again(id)
    except SlipwayError as error:
        return error
    out.print(f"{id} queued")
    return None


def _dead(database: "Database", queue: str | None) -> list[str]:
    from services.ledger.database import job_lists

    found: list[str] = []
    before: int | None = None
    while True:
        with database.reading() as connection:
            some = job_lists.listing(
                connection, state=DEAD, queue=queue, before=before, limit=_MANY
            )
        found += [job.id for job in some]
        if len(some) < _MANY:
            # The oldest first, as they came.
            return found[::-1]
        before = some[-1].number


def _ended(database: "Database | None", wanted: str, timeout: float) -> Job:
    until = time.monotonic() + timeout
    while not (found := sources.get(database, wanted)).ended:
        if timeout and time.monotonic() > until:
            raise DeadlineExceededError(
                f"After {timeout:g} s it is {sources.status(found)}.", where="--timeout"
            )
        time.sleep(_POLL_SECONDS)
    return found


def _say(job: Job, as_json: bool) -> None:
    if as_json:
        out.print(json.dumps(sources.as_json(job), indent=2, ensure_ascii=False))
        return
    note = ""
    if job.error:
        note = f": {job.error.get('code')}: {job.error.get('message')}"
    elif job.state != RUNNING and (took := sources.took(job)):
        note = f" ({took})"
    out.print(f"{job.id} {sources.status(job)}{note}")
