"""Jobs as a door with an event loop sees them: submit, look, wait, watch, cancel.

Nothing here blocks the loop: the database and the blobs are asked in a few threads of the desk's
own, new jobs are written by one more and their messages sent by another.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from services.core.errors import (
    DeadlineExceededError,
    JobsUnavailableError,
    LedgerUnavailableError,
)
from services.core.metrics import Metrics
from services.core.settings import Settings
from services.jobs.blobs import Blobs
from services.jobs.committer import Committer
from services.jobs.publisher import Publisher
from services.jobs.reader import Reader
from services.jobs.submission import NewWork
from services.ledger.database.job_rows import Job
from services.ledger.opened import Opened

if TYPE_CHECKING:
    from services.jobs.events import Event
    from services.jobs.listener import Listener
    from services.jobs.operations import Position
    from services.jobs.sync import JobStore
    from services.ledger.database.job_upkeep import Depth
    from services.ledger.database.statements import Connection
    from services.ledger.database.workers import Check, Worker

T = TypeVar("T")

_THREADS = 6
# The database's own limits are 5 seconds to connect, and 15 for a statement.
_ANSWER_SECONDS = 20.0
_RETRY_AFTER = 5.0


class JobDesk:
    """Made without opening anything, and without the libraries of database and broker.

    Attributes:
        enabled: jobs are accepted here at all (`JOBS`, and a `REDIS_URL`).
        blobs: what is too large for a row.
    """

    def __init__(self, settings: Settings, metrics: Metrics | None = None) -> None:
        self.enabled = settings.jobs and settings.redis_url is not None
        self.blobs = Blobs(settings)
        self._settings = settings
        self._metrics = metrics
        self._database = Opened(settings)
        self._publisher = Publisher(settings, self._database)
        self._committer = Committer(settings, self._database, self._publisher.offer)
        self._pool = ThreadPoolExecutor(_THREADS, "jobs")
        self._opening = threading.Lock()
        self._reader = Reader(lambda ids: self._ask(lambda store: store.get_all(ids)))
        self._known_store: JobStore | None = None
        self._known_listener: Listener | None = None

    def start(self) -> None:
        """Do nothing yet: what is needed is opened when somebody asks for it."""

    async def close(self) -> None:
        """Write down and send what was accepted, and close everything."""
        if self._known_listener is not None:
            await self._known_listener.close()
        await asyncio.to_thread(self._close)

    async def submit(self, work: NewWork) -> tuple[Job, bool]:
        """Accept work: when this returns it will be done, whatever dies meanwhile.

        Returns:
            the job, and whether it is new: the same key, or id, gives the first job again.

        Raises:
            InvalidInputError: a name or a value cannot be used.
            ConflictError: the key, or the id, stands for another request.
            OverloadedError: too many wait already.
            JobsUnavailableError: no jobs are accepted here, or Redis has been away for too long.
            LedgerFullError: the disk takes no more.
            LedgerUnavailableError: the database, or the store of blobs, is away.
        """
        if not self.enabled:
            raise JobsUnavailableError(
                "No jobs are accepted here: there are no workers.",
                where="REDIS_URL",
                retry_after=_RETRY_AFTER,
            )
        new = await self._ask(lambda store: store.packed(work))
        return await self._committer.submit(new)

    async def get(self, id: str) -> Job:
        """Return a job; raises NotFoundError, LedgerUnavailableError."""
        return await self._reader.get(id)

    async def by_number(self, number: int) -> Job:
        """Return the job of a number; raises NotFoundError, LedgerUnavailableError."""
        return await self._ask(lambda store: store.by_number(number))

    async def cancel(self, id: str) -> Job:
        """Cancel a job: at once if nobody has begun it; else its worker stops within seconds."""
        return await self._ask(lambda store: store.cancel(id))

    async def again(self, id: str) -> Job:
        """Queue a job once more that was given up, failed, expired or was canceled.

        Raises:
            NotFoundError: there is no such job.
            ConflictError: it is under way, or has succeeded.
        """
        return await self._ask(lambda store: store.again(id))

    async def wait(self, id: str, seconds: float) -> Job:
        """Return a job once it has ended.

        Raises:
            DeadlineExceededError: it has not ended by then.
            NotFoundError: there is no such job.
        """
        from services.jobs.events import until_ended

        job = await until_ended(id, seconds, self.get, self._listener())
        if job is None:
            raise DeadlineExceededError(
                "The job has not ended within the request's deadline; it goes on.",
                retry_after=_RETRY_AFTER,
            )
        return job

    async def events(self, id: str, last_event_id: str | None = None) -> "AsyncIterator[Event]":
        """Yield how a job stands, what happened since an event, and what happens to its end.

        Raises:
            NotFoundError: there is no such job.
        """
        from services.jobs.events import watch_job

        async for event in watch_job(id, last_event_id, self.get, self._listener()):
            yield event

    async def position(self, job: Job) -> "Position":
        """Return how many jobs are before it, and about how long that takes."""
        return await self._ask(lambda store: store.position(job))

    async def listing(
        self,
        *,
        task: str | Sequence[str] | None = None,
        queue: str | None = None,
        state: int | Sequence[int] | None = None,
        subject: str | None = None,
        caller: str | None = None,
        since: int | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Job]:
        """Return the newest jobs that fit, newest first; see `job_lists.listing`."""
        return await self._ask(
            lambda store: store.listing(
                task=task, queue=queue, state=state, subject=subject, caller=caller, since=since,
                before=before, limit=limit,
            )
        )  # fmt: skip

    async def count(
        self,
        *,
        task: str | Sequence[str] | None = None,
        state: int | Sequence[int] | None = None,
    ) -> int:
        """Return how many jobs fit."""
        return await self._ask(lambda store: store.count(task=task, state=state))

    async def depths(self) -> "list[Depth]":
        """Return every queue in which something is to be done."""
        return await self._ask(lambda store: store.depths())

    async def workers(self) -> "list[Worker]":
        """Return the workers that are there."""
        return await self._ask(lambda store: store.workers())

    async def checks(self) -> "list[Check]":
        """Return what the last look at each part of the system found."""
        return await self._ask(lambda store: store.checks())

    async def result(self, job: Job) -> Any:
        """Return what a job made, its output as the family's own type; None: nothing.

        Raises:
            NotFoundError: it is gone.
        """
        return await self._ask(lambda store: store.result(job))

    async def payload(self, job: Job) -> Any:
        """Return what went into a job; raises NotFoundError where it is gone."""
        return await self._ask(lambda store: store.payload(job))

    async def ready(self) -> str | None:
        """Return why messages do not reach the broker now; None: they do."""
        url = self._settings.redis_url
        if not self.enabled or url is None:
            return "there is no REDIS_URL, or JOBS is false"

        def trouble(_: object) -> str | None:
            from services.jobs.sender import trouble_with

            return trouble_with(url)

        return await self._ask(trouble)

    async def read(self, work: "Callable[[Connection], T]") -> T:
        """Run `work` in a thread, in one transaction that only reads, and return what it returns.

        Raises:
            LedgerUnavailableError: the database is away or busy.
        """
        return await self._ask(lambda store: store.read(work))

    async def write(self, work: "Callable[[Connection], T]") -> T:
        """Run `work` in a thread, in one transaction; what it wrote is durable on return."""
        return await self._ask(lambda store: store.write(work))

    async def _ask(self, work: "Callable[[JobStore], T]") -> T:
        """Run `work` in one of the desk's threads."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await loop.run_in_executor(self._pool, lambda: work(self._store()))
        except TimeoutError as error:
            raise LedgerUnavailableError(
                f"The ledger's database did not answer within {_ANSWER_SECONDS:g} seconds.",
                where="LEDGER_DATABASE_URL",
                retry_after=_RETRY_AFTER,
            ) from error

    def _store(self) -> "JobStore":
        """Return what asks the database; its libraries are imported by the first thread."""
        with self._opening:
            if self._known_store is None:
                from services.jobs.sync import JobStore

                self._known_store = JobStore(self._settings, self._database, self.blobs)
            return self._known_store

    def _listener(self) -> "Listener":
        if self._known_listener is None:
            from services.jobs.listener import Listener

            async def look(ids: list[str]) -> dict[str, int]:
                return await self._ask(lambda store: store.states(ids))

            self._known_listener = Listener(self._settings.redis_url, look)
        return self._known_listener

    def _close(self) -> None:
        self._committer.close()
        self._publisher.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._known_store is not None:
            self._known_store.close()
        self._database.close()
