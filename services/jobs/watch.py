"""How it stands with jobs: queues, workers, Redis. Read by a thread, when somebody asks.

Whoever asks gets what was seen last and waits for nothing longer than he says: neither the database
nor Redis holds up `/health` or `/metrics`.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING

from services.core.errors import SlipwayError
from services.core.settings import Settings
from services.jobs.names import QUEUES
from services.ledger.glimpse import Glimpse

if TYPE_CHECKING:
    from services.ledger.database.job_upkeep import Depth
    from services.ledger.database.workers import Check, Worker
    from services.ledger.questions import Connection

# Seconds. What is younger is not looked at again.
_KEPT = 5.0
# A worker says that it is there every few seconds; the beat has looked around every half minute.
WORKER_SECONDS = 20.0
CHECK_SECONDS = 90.0
_PING_SECONDS = 1.0
_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen.

    Attributes:
        time: when, in seconds since 1970; 0: not yet.
        redis: it answers; None: nobody has looked.
        database: the same; without it everything below is as it was seen before.
        totals: counters of `job_totals`.
        dead: dead letters by queue.
        pending: webhooks that are still to be sent.
    """

    time: float = 0.0
    redis: bool | None = None
    database: bool | None = None
    depths: "Mapping[str, Depth]" = field(default_factory=dict)
    workers: "Sequence[Worker]" = ()
    checks: "Sequence[Check]" = ()
    totals: Mapping[str, int] = field(default_factory=dict)
    dead: Mapping[str, int] = field(default_factory=dict)
    pending: int = 0

    def present(self, queue: str) -> int:
        """Return how many workers of a queue are there."""
        return sum(1 for worker in self.workers if worker.queue == queue)

    def waiting(self, queue: str) -> int:
        """Return how many jobs of a queue wait."""
        depth = self.depths.get(queue)
        return 0 if depth is None else depth.waiting


class JobWatch(Glimpse[Sight]):
    """Looks when it is asked, at most every few seconds. Threads may share it.

    Where the database is away, what it said last stays, and `database` is False.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, _read, Sight(), kept=_KEPT, forgotten=inf)

    def _found(self) -> Sight:
        redis = answers(self._settings)
        try:
            return replace(super()._found(), redis=redis)
        except SlipwayError:
            return replace(self._seen, time=time.time(), redis=redis, database=False)


def _read(connection: "Connection") -> Sight:
    """Return what the database says; whoever asked it adds what Redis does."""
    return read(connection, None)


def read(connection: "Connection", redis: bool | None) -> Sight:
    """Return what the database says now."""
    from services.ledger.database import deliveries, job_totals, job_upkeep, workers

    now = time.time()
    since = round((now - WORKER_SECONDS) * _MICROSECONDS)
    return Sight(
        time=now,
        redis=redis,
        database=True,
        depths={depth.queue: depth for depth in job_upkeep.depths(connection)},
        workers=workers.present(connection, since),
        checks=workers.all_checks(connection),
        totals=job_totals.read(connection),
        dead=job_upkeep.dead_letters(connection),
        pending=deliveries.pending(connection),
    )


def answers(settings: Settings) -> bool | None:
    """Ask Redis whether it is there; None where none is configured."""
    if settings.redis_url is None:
        return None
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError
    from redis.retry import Retry

    with suppress(RedisError, OSError, ValueError):
        client = Redis.from_url(
            settings.redis_url,
            socket_timeout=_PING_SECONDS,
            socket_connect_timeout=_PING_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        with client:
            return bool(client.ping())
    return False


def without_worker(sight: Sight) -> list[str]:
    """Return the queues in which jobs wait for a worker that is not there."""
    return [queue for queue in QUEUES if sight.waiting(queue) and not sight.present(queue)]
