"""Jobs as threads and the command line see them: plain functions that answer when they are done."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

from services.core.errors import (
    JobsUnavailableError,
    NotFoundError,
    SlipwayError,
)
from services.core.settings import Settings
from services.jobs import operations
from services.jobs.accepting import accept
from services.jobs.blobs import Blobs
from services.jobs.limits import Limits
from services.jobs.notices import Notices
from services.jobs.operations import Position
from services.jobs.payloads import pack, unpack, unpack_result
from services.jobs.results import CANCEL, COMPLETED
from services.jobs.sender import Sender
from services.jobs.submission import NewWork, check, new_job
from services.jobs.views import job_view
from services.ledger.database import job_lists, job_upkeep, jobs, workers
from services.ledger.database.job_rows import DEAD, Job, NewJob
from services.ledger.database.job_upkeep import Depth
from services.ledger.database.statements import Connection
from services.ledger.database.workers import Check, Worker
from services.ledger.opened import Opened

T = TypeVar("T")

_RETRY_AFTER = 5.0
_MOST_DEAD = 10_000


class JobStore:
    """Opens the database with the first question. Threads may share it.

    Every method raises LedgerUnavailableError where the database is away.
    """

    def __init__(
        self, settings: Settings, database: Opened | None = None, blobs: Blobs | None = None
    ) -> None:
        self.blobs = Blobs(settings) if blobs is None else blobs
        self._settings = settings
        self._database = Opened(settings) if database is None else database
        self._notices = Notices(settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what was opened."""
        self._notices.close()
        self._database.close()

    def read(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returns, in one transaction that only reads."""
        with self._database().reading() as connection:
            return work(connection)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returns, in one transaction; what it wrote is durable then."""
        with self._database().begin() as connection:
            return work(connection)

    def packed(self, work: NewWork) -> NewJob:
        """Return the row that work becomes; its payload, where it is large, is a blob then.

        Raises:
            InvalidInputError: a name or a value cannot be used.
            LedgerFullError: the disk takes no more.
        """
        check(work, self._settings)
        inline = self._settings.job_inline_bytes
        packed = pack(work.payload, self.blobs, inline, work.family, work.ref)
        return new_job(work, packed, self._settings)

    def submit(self, work: NewWork) -> tuple[Job, bool]:
        """Accept work, see `JobDesk.submit`; its message is sent at once, or by the reconciler."""
        if not accepts(self._settings):
            raise not_accepted()
        new, limits = self.packed(work), Limits(self._settings)

        def accepted(connection: Connection) -> tuple[Job, bool] | SlipwayError:
            limits.count(connection)
            return accept(connection, limits, [new])[0]

        answer = self.write(accepted)
        if isinstance(answer, SlipwayError):
            raise answer
        if answer[1]:
            self._send(answer[0])
        return answer

    def get(self, id: str) -> Job:
        """Return a job; raises NotFoundError."""
        return self.read(lambda connection: operations.get(connection, id))

    def get_all(self, ids: Sequence[str]) -> dict[str, Job]:
        """Return jobs by their ids; those that are not there any more are left out."""
        return self.read(lambda connection: jobs.get_all(connection, ids))

    def by_number(self, number: int) -> Job:
        """Return the job of a number; raises NotFoundError."""
        job = self.read(lambda connection: jobs.by_number(connection, number))
        if job is None:
            raise NotFoundError("There is no such job here (any more).", where="id")
        return job

    def states(self, ids: list[str]) -> dict[str, int]:
        """Return the states of jobs; those that are not there any more are left out."""
        return self.read(lambda connection: jobs.states(connection, ids))

    def cancel(self, id: str) -> Job:
        """Cancel a job: at once if nobody has begun it; else its worker stops within seconds.

        Raises:
            NotFoundError: there is no such job.
        """
        job = self.write(lambda connection: operations.cancel(connection, id, _now()))
        if job.cancel:
            # Its worker hears of it at once, and with the next renewal of its lease in any case.
            event, data = (COMPLETED, job_view(job)) if job.ended else (CANCEL, {})
            self._notices.tell(job.id, event, data, job.state)
        return job

    def again(self, id: str) -> Job:
        """Queue a job once more that was given up, failed, expired or was canceled.

        Raises:
            NotFoundError: there is no such job.
            ConflictError: it is under way, or has succeeded.
        """
        ttl = self._settings.job_ttl
        job = self.write(lambda connection: operations.again(connection, id, _now(), ttl))
        self._send(job)
        return job

    def position(self, job: Job) -> Position:
        """Return how many jobs are before it, and about how long that takes."""
        return self.read(lambda connection: operations.position(connection, job, _now()))

    def listing(
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
        return self.read(
            lambda connection: job_lists.listing(
                connection, task=task, queue=queue, state=state, subject=subject, caller=caller,
                since=since, before=before, limit=limit,
            )
        )  # fmt: skip

    def count(
        self,
        *,
        task: str | Sequence[str] | None = None,
        state: int | Sequence[int] | None = None,
    ) -> int:
        """Return how many jobs fit."""
        return self.read(lambda connection: job_lists.count(connection, task=task, state=state))

    def dead(self, queue: str | None = None) -> list[str]:
        """Return the ids of jobs that were given up, the newest first."""
        found = self.listing(queue=queue, state=DEAD, limit=_MOST_DEAD)
        return [job.id for job in found]

    def depths(self) -> list[Depth]:
        """Return every queue in which something is to be done."""
        return self.read(job_upkeep.depths)

    def workers(self) -> list[Worker]:
        """Return the workers that are there."""
        since = _now() - operations.WORKER_SECONDS * 1_000_000
        return self.read(lambda connection: workers.present(connection, since))

    def checks(self) -> list[Check]:
        """Return what the last look at each part of the system found."""
        return self.read(workers.all_checks)

    def result(self, job: Job) -> Any:
        """Return what a job made, its output as the family's own type; None: nothing.

        Raises:
            NotFoundError: it is gone.
        """
        return unpack_result(job.result, self.blobs)

    def payload(self, job: Job) -> Any:
        """Return what went into a job; raises NotFoundError where it is gone."""
        return unpack(job, self.blobs)

    def _send(self, job: Job) -> None:
        """Send a job's message; if that fails, the reconciler does it."""
        if not accepts(self._settings):
            return
        with Sender(self._settings) as sender:
            if sender.send([(job.id, job.queue)]) is not None:
                return
        with self._database().begin(durable=False) as connection:
            jobs.published(connection, [job.id], _now())


def accepts(settings: Settings) -> bool:
    """Whether jobs are accepted here at all."""
    return settings.jobs and settings.redis_url is not None


def not_accepted() -> JobsUnavailableError:
    """Return what is said where no jobs are accepted."""
    return JobsUnavailableError(
        "No jobs are accepted here: there are no workers.",
        where="REDIS_URL",
        retry_after=_RETRY_AFTER,
    )


def _now() -> int:
    return round(time.time() * 1e6)
