"""What happens to one job, as it happens: for those who watch it."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from services.core.errors import LedgerUnavailableError
from services.jobs.listener import Listener, Watch
from services.jobs.results import CANCEL, COMPLETED, PROGRESS
from services.jobs.views import job_view
from services.ledger.database.job_rows import Job

STATUS, PING = "status", "ping"
# Seconds: between signs of life, and between two looks while Redis is silent.
_HEARTBEAT = 15.0
_LOOK = 1.0
_ID = re.compile(r"\d{1,20}-\d{1,20}")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        id: to go on from after a pause; None: not in the job's stream.
        event: `status` (how things stand), `start`, `progress`, `completed` (the last one), `ping`
            (nothing happened).
        data: JSON values.
    """

    id: str | None
    event: str
    data: Any


async def watch_job(
    id: str, last_event_id: str | None, get: Callable[[str], Awaitable[Job]], listener: Listener
) -> AsyncIterator[Event]:
    """Yield how a job stands, what happened since an event, and then what happens, to its end.

    Raises:
        NotFoundError: there is no such job.
        LedgerUnavailableError: the database is away at the beginning.
    """
    after = last_event_id if last_event_id and _ID.fullmatch(last_event_id) else None
    with listener.watch(id) as watch:
        job = await get(id)
        yield Event(None, STATUS, job_view(job))
        progress = job.progress
        while True:
            # In this order: whatever was told before the job ended is read after that was seen.
            told = await listener.read(id, after)
            ended_at = None
            for one in told or ():
                after = one.id
                if one.event == COMPLETED:
                    ended_at = one.id
                elif one.event != CANCEL:
                    yield Event(one.id, one.event, one.data)
            if job.ended:
                yield Event(ended_at, COMPLETED, job_view(job))
                return
            if told is None and job.progress != progress:
                progress = job.progress
                yield Event(None, PROGRESS, progress)
            watch.state = job.state
            if not await _news(watch, _LOOK if told is None else _HEARTBEAT) and told is not None:
                yield Event(None, PING, None)
            job = await _look(id, get, job)


async def _look(id: str, get: Callable[[str], Awaitable[Job]], known: Job) -> Job:
    """Return the job as it is now, or as it was if the database does not say."""
    try:
        return await get(id)
    except LedgerUnavailableError:
        return known


async def _news(watch: Watch, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await watch.news.wait()
    except TimeoutError:
        return False
    watch.news.clear()
    return True


async def until_ended(
    id: str, timeout_seconds: float, get: Callable[[str], Awaitable[Job]], listener: Listener
) -> Job | None:
    """Return a job once it has ended; None: it has not by then.

    Raises:
        NotFoundError: there is no such job, or it was forgotten meanwhile.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            with listener.watch(id) as watch:
                while True:
                    watch.news.clear()
                    try:
                        job = await get(id)
                        watch.state = job.state
                        if job.ended:
                            return job
                    except LedgerUnavailableError:
                        # The next look may find it; the caller's deadline bounds this.
                        watch.state = None
                    await watch.news.wait()
    except TimeoutError:
        return None
