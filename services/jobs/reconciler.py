"""Sets right what no process will: lost workers, lost messages, time that ran out.

Whoever leads (`leases`) calls `tick` every five seconds. Nothing bad happens if two do.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from services.core.logging import get_logger
from services.core.settings import Settings
from services.jobs import results
from services.jobs.names import QUEUES
from services.jobs.notices import Notices
from services.jobs.results import COMPLETED
from services.jobs.sender import Sender
from services.jobs.views import job_view
from services.ledger.database import job_upkeep, jobs
from services.ledger.database.job_rows import Job
from services.ledger.database.job_upkeep import Upkeep
from services.ledger.database.opening import Database, open_database

_log = get_logger(__name__)
_MICROSECONDS = 1_000_000
# In one transaction, and of those in one tick.
_AT_ONCE, _ROUNDS = 500, 20
# Whoever accepted a job publishes it; older than this it may have died before.
_YOUNG = 2 * _MICROSECONDS
# A message that was taken from Redis is a job that has begun, this much later at the latest.
_STALE = 10 * _MICROSECONDS


@dataclass(frozen=True, slots=True)
class Tick:
    """What was done.

    Attributes:
        stale: messages that were taken for lost, and are sent again.
        published: messages that were sent.
        broker: Redis answered.
    """

    upkeep: Upkeep
    stale: int = 0
    published: int = 0
    broker: bool = True


class Reconciler:
    """Used by one thread."""

    def __init__(self, settings: Settings, database: Database | None = None) -> None:
        self._settings = settings
        self._own = database is None
        self._database = open_database(settings) if database is None else database
        self._sender = None if settings.redis_url is None else Sender(settings)
        self._notices = Notices(settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._sender is not None:
            self._sender.close()
        self._notices.close()
        if self._own:
            self._database.close()

    def tick(self) -> Tick:
        """Do what is to be done now, up to some thousands of jobs.

        Raises:
            LedgerUnavailableError: the database is away.
        """
        upkeep = self._set_right()
        if self._sender is None:
            return Tick(upkeep, broker=False)
        stale = self._find_lost(self._sender)
        published = self._publish(self._sender)
        broker = stale is not None and published is not None
        return Tick(upkeep, stale or 0, published or 0, broker)

    def _set_right(self) -> Upkeep:
        total = Upkeep()
        for now in _rounds():
            with self._database.reading() as connection:
                if not job_upkeep.due(connection, now):
                    break
            with self._database.begin() as connection:
                done = job_upkeep.reconcile(connection, now, _AT_ONCE)
                results.ended(connection, done.ended, now)
                results.requeued(connection, done.queued)
            self._notices.tell_many(
                (job.id, COMPLETED, job_view(job), job.state) for job in done.ended
            )
            for job in done.queued:
                _log.warning("lease ran out", job=job.id, task=job.task, attempts=job.attempts)
            total = _added(total, done)
        return total

    def _find_lost(self, sender: Sender) -> int | None:
        """Find messages that Redis has no more though nobody took them; None: it does not answer.

        Where fewer messages lie in a queue than jobs wait, some are gone, nobody knows which: all
        are sent again. Where there are enough, some may be of jobs that somebody has taken with
        others; but messages keep their order, so a job has lost its own if one that was published
        well after it has begun. A second message about a job costs a worker a look, no more.
        """
        before = _now() - _STALE
        with self._database.reading() as connection:
            unheard = job_upkeep.unheard(connection, before)
            begun = job_upkeep.begun(connection) if unheard else {}
        if not unheard:
            return 0
        lengths = sender.lengths(unheard)
        if lengths is None:
            return None
        count = 0
        for queue, waiting in unheard.items():
            overtaken = min(before, begun.get(queue, 0) - _STALE)
            found = self._unpublish(queue, before if lengths[queue] < waiting else overtaken)
            if found:
                _log.warning(
                    "messages lost", queue=queue, waiting=waiting, messages=lengths[queue],
                    again=found,
                )  # fmt: skip
            count += found
        return count

    def _unpublish(self, queue: str, before: int) -> int:
        count = 0
        for _ in _rounds():
            with self._database.begin(durable=False) as connection:
                found = job_upkeep.unpublish(connection, queue, before, _AT_ONCE)
            count += found
            if found < _AT_ONCE:
                break
        return count

    def _publish(self, sender: Sender) -> int | None:
        """Send what nobody has; return how many, or None where Redis does not answer."""
        count = 0
        for now in _rounds():
            with self._database.reading() as connection:
                found = jobs.unpublished(connection, _AT_ONCE, now - _YOUNG)
            if not found:
                break
            if sender.send(_messages(found)) is not None:
                return None
            with self._database.begin(durable=False) as connection:
                jobs.published(connection, [job.id for job in found], _now())
            count += len(found)
        return count


def _messages(found: Sequence[Job]) -> list[tuple[str, str]]:
    return [(job.id, job.queue) for job in found if job.queue in QUEUES]


def _rounds() -> Iterator[int]:
    """Yield the time, so often that one tick stays short."""
    for _ in range(_ROUNDS):
        yield _now()


def _added(total: Upkeep, more: Upkeep) -> Upkeep:
    return Upkeep(
        total.requeued + more.requeued,
        total.dead + more.dead,
        total.canceled + more.canceled,
        total.expired + more.expired,
        total.ended + more.ended,
        total.queued + more.queued,
    )


def _now() -> int:
    return round(time.time() * _MICROSECONDS)
