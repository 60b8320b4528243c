"""The ledger as the routes see it: questions to database and journals that never block the loop."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.to_thread

from services.core.errors import ConflictError, LedgerUnavailableError, NotFoundError
from services.core.settings import Settings
from services.jobs.names import PREDICT
from services.ledger import blobs
from services.ledger.lookup import Found, Indexed, find_in_journal
from services.ledger.opened import Opened
from services.ledger.places import Places
from services.ledger.records import Record

if TYPE_CHECKING:
    from services.ledger.database.job_rows import Job
    from services.ledger.database.opening import Database
    from services.ledger.questions import Connection, Looked

T = TypeVar("T")

# Questions at once: to the database, and to the journals, which answer while it does not.
_THREADS = 4
_SEARCHES = 2
# The database's own limits are 5 seconds to connect, and 15 for a statement.
_ANSWER_SECONDS = 20.0
# What can be answered from the journal waits no longer for the database.
_PATIENCE = 5.0
_RETRY_AFTER = 5.0


class LedgerDesk:
    """Answers routes; opens the database with the first question.

    Attributes:
        recording: predictions are recorded at all (`LEDGER`).
        keeps_jobs: jobs are accepted here (`JOBS`, and a `REDIS_URL`).
    """

    def __init__(self, settings: Settings) -> None:
        self.recording = settings.ledger
        self.keeps_jobs = settings.jobs and settings.redis_url is not None
        self._settings = settings
        self._places = Places(settings.data_dir)
        self._opened = Opened(settings)
        self._limiters: tuple[anyio.CapacityLimiter, anyio.CapacityLimiter] | None = None

    async def read(self, work: "Callable[[Connection], T]", patience: float | None = None) -> T:
        """Run `work` in a thread, in one transaction that only reads, and return what it returns.

        Raises:
            LedgerUnavailableError: the database is away or busy, or took longer than `patience`
                (seconds).
        """

        def reading() -> T:
            with self._opened().reading() as connection:
                return work(connection)

        return await self._run(reading, patience or _ANSWER_SECONDS)

    async def write(self, work: "Callable[[Connection], T]") -> T:
        """Run `work` in a thread, in one transaction; what it wrote is durable on return.

        Nothing is written where `work` raises.

        Raises:
            LedgerUnavailableError: the database is away, busy or full.
        """

        def writing() -> T:
            with self._opened().begin() as connection:
                return work(connection)

        return await self._run(writing, _ANSWER_SECONDS)

    async def find(self, prediction_id: str) -> Found:
        """Return a prediction that was made, as soon as it was answered.

        Raises:
            NotFoundError: it is not on record here.
            ConflictError: it has not been made yet.
            LedgerUnavailableError: it is not in the journal, and the database does not answer.
        """
        found, job = await self.find_any(prediction_id)
        if found is not None:
            return found
        assert job is not None
        if job.completed is None:
            raise ConflictError("The prediction has not been made yet.", where="id")
        raise self._missing()

    async def find_any(
        self, prediction_id: str, task: str | None = PREDICT
    ) -> "tuple[Found | None, Job | None]":
        """Return a prediction on record, the job that makes or made it, or both.

        A record is found as soon as its answer leaves: in the database, else in the journal.

        Args:
            task: jobs that do something else are not meant; None: any job is.

        Raises:
            NotFoundError: there is neither.
            LedgerUnavailableError: it is not in the journal, and the database does not answer.
        """
        if not (self.recording or self.keeps_jobs):
            raise self._missing()
        try:
            looked = await self.read(lambda c: _look(c, prediction_id), _PATIENCE)
        except LedgerUnavailableError:
            record = await self._in_journal(prediction_id, {})
            if record is None:
                raise
            return Found(record), None
        if looked.found is None and looked.job is None:
            record = await self._in_journal(prediction_id, looked.indexed)
            if record is not None:
                return Found(record, feedback=looked.feedback), None
            # It may have gone from one to the other in between.
            looked = await self.read(lambda c: _look(c, prediction_id), _PATIENCE)
        job = looked.job
        if looked.found is None and (job is None or task not in (None, job.task)):
            raise self._missing()
        return looked.found, job

    async def check_free(self, prediction_id: str) -> None:
        """Go on if no prediction on record has this id, unless a job made it.

        Raises:
            ConflictError: one has.
            LedgerUnavailableError: the database does not answer.
        """
        looked = await self.read(lambda c: _look(c, prediction_id))
        if looked.found is not None and looked.job is None:
            raise ConflictError(
                "Another prediction has this id.", where="id", expected="an id of its own"
            )

    def blob(self, name: str, most_bytes: int) -> Any:
        """Return the JSON value that lies beside a record; None where it does not any more."""
        return blobs.json_value(self._places, name, most_bytes)

    async def run(self, work: "Callable[[Database], T]", seconds: float) -> T:
        """Run `work`, which begins transactions of its own, in a thread.

        Raises:
            LedgerUnavailableError: the database is away or busy, or took longer.
        """
        return await self._run(lambda: work(self._opened()), seconds)

    async def close(self) -> None:
        """Close the database, if it was opened."""
        await asyncio.to_thread(self._opened.close)

    def _missing(self) -> NotFoundError:
        if not (self.recording or self.keeps_jobs):
            return NotFoundError(
                "No predictions are recorded here.", where="id", expected="LEDGER=true"
            )
        return NotFoundError(
            "There is no such prediction here (any more).", where="id", expected=self._kept()
        )

    def _kept(self) -> str:
        days, rows = self._settings.ledger_keep_days, self._settings.ledger_keep_rows
        which = f"one of the last {rows} predictions" if rows else "a prediction"
        return f"the id of {which}" + (f", at most {days:g} days old" if days else "")

    async def _in_journal(self, prediction_id: str, indexed: Indexed) -> Record | None:
        if not self.recording:
            return None
        return await anyio.to_thread.run_sync(
            find_in_journal,
            self._places,
            prediction_id,
            indexed,
            abandon_on_cancel=True,
            limiter=self._limits()[1],
        )

    async def _run(self, work: Callable[[], T], seconds: float) -> T:
        try:
            async with asyncio.timeout(seconds):
                return await anyio.to_thread.run_sync(
                    work, abandon_on_cancel=True, limiter=self._limits()[0]
                )
        except TimeoutError as error:
            raise LedgerUnavailableError(
                f"The ledger's database did not answer within {seconds:g} seconds.",
                where="LEDGER_DATABASE_URL",
                retry_after=_RETRY_AFTER,
            ) from error

    def _limits(self) -> tuple[anyio.CapacityLimiter, anyio.CapacityLimiter]:
        if self._limiters is None:
            # Not before there is a loop.
            self._limiters = anyio.CapacityLimiter(_THREADS), anyio.CapacityLimiter(_SEARCHES)
        return self._limiters


def _look(connection: "Connection", prediction_id: str) -> "Looked":
    # Here, in the thread: the import would hold up the loop.
    from services.ledger.questions import look

    return look(connection, prediction_id)
