"""Jobs in lists, newest first, page by page."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, func, select

from services.ledger.database.job_rows import Job
from services.ledger.database.job_tables import jobs


def listing(
    connection: Connection,
    *,
    task: str | Sequence[str] | None = None,
    queue: str | None = None,
    state: int | Sequence[int] | None = None,
    subject: str | None = None,
    caller: str | None = None,
    since: int | None = None,
    before: int | None = None,
    limit: int,
) -> list[Job]:
    """Return the newest jobs that fit, newest first.

    Args:
        task: one of them, or several; so with `state`.
        since: those that were accepted then or later.
        before: number of the last job of the page before this one.
    """
    columns = jobs.c
    named = {"queue": queue, "subject": subject, "caller": caller}
    wanted = [columns[name] == value for name, value in named.items() if value is not None]
    wanted += _wanted(task, state)
    if since is not None:
        wanted.append(columns.created >= since)
    if before is not None:
        wanted.append(columns.number < before)
    rows = connection.execute(
        select(jobs).where(*wanted).order_by(columns.number.desc()).limit(limit)
    )
    return [Job(**row) for row in rows.mappings()]


def count(
    connection: Connection,
    *,
    task: str | Sequence[str] | None = None,
    state: int | Sequence[int] | None = None,
    subject: str | None = None,
) -> int:
    """Return how many jobs fit."""
    wanted = _wanted(task, state)
    if subject is not None:
        wanted.append(jobs.c.subject == subject)
    return connection.scalar(select(func.count()).select_from(jobs).where(*wanted)) or 0


def _wanted(
    task: str | Sequence[str] | None, state: int | Sequence[int] | None
) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = []
    if task is not None:
        wanted.append(jobs.c.task.in_([task] if isinstance(task, str) else list(task)))
    if state is not None:
        wanted.append(jobs.c.state.in_([state] if isinstance(state, int) else list(state)))
    return wanted
