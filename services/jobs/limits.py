"""How many jobs may wait: in a queue, and for the broker."""

import time
from collections import Counter
from collections.abc import Iterable

from services.core.errors import JobsUnavailableError, OverloadedError, SlipwayError
from services.core.settings import Settings
from services.ledger.database import job_upkeep
from services.ledger.database.job_rows import Job
from services.ledger.database.statements import Connection

# Seconds that a count is good for; what this process adds meanwhile is added to it.
_GOOD_FOR = 0.2
_RETRY_QUEUE, _RETRY_BROKER = 5.0, 5.0


class Limits:
    """Says whether there is room for one more. Used by one thread."""

    def __init__(self, settings: Settings) -> None:
        self._most_queued = settings.job_max_queued
        self._most_unpublished = settings.job_max_unpublished
        self._counted = float("-inf")
        self._waiting: Counter[str] = Counter()
        self._unpublished = 0

    def count(self, connection: Connection) -> None:
        """Bring the counts up to date, if they are old."""
        now = time.monotonic()
        if now - self._counted < _GOOD_FOR:
            return
        self._counted = now
        self._waiting = Counter(job_upkeep.waiting(connection))
        self._unpublished = job_upkeep.unpublished_count(connection)

    def refusal(self, queue: str) -> SlipwayError | None:
        """Return why nothing more may wait in a queue; None: it is counted as waiting."""
        if self._unpublished >= self._most_unpublished:
            return JobsUnavailableError(
                "The queue's Redis does not answer, and no more jobs may wait for it.",
                where="JOB_MAX_UNPUBLISHED",
                retry_after=_RETRY_BROKER,
            )
        if self._waiting[queue] >= self._most_queued:
            return OverloadedError(
                f"{self._most_queued} jobs wait in this queue already.",
                where="JOB_MAX_QUEUED",
                retry_after=_RETRY_QUEUE,
            )
        self._waiting[queue] += 1
        self._unpublished += 1
        return None

    def forget(self, known: Iterable[Job]) -> None:
        """Take back what was counted for jobs that were there before."""
        for job in known:
            self._waiting[job.queue] -= 1
            self._unpublished -= 1
