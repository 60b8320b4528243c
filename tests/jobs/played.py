"""What workers do to jobs, played by a test."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import orjson
import redis

from services.jobs import results
from services.jobs.names import INTERACTIVE, PREDICT
from services.jobs.submission import NewWork
from services.ledger.database import jobs
from services.ledger.database.job_rows import SUCCEEDED, Job
from services.ledger.database.opening import Database
from tests.support.patience import PATIENCE
from tests.support.redis_server import RedisServer


def work(**values: Any) -> NewWork:
    known: dict[str, Any] = {
        "queue": INTERACTIVE, "task": PREDICT, "subject": "adder",
        "options": {"version": "1"}, "payload": {"features": [1.0, 2.5]},
    }  # fmt: skip
    return NewWork(**(known | values))


def take(database: Database, job: Job) -> Job:
    now = round(time.time() * 1e6)
    with database.begin() as connection:
        return jobs.take(connection, job.id, "me", now, now + 10_000_000)[0]


def end(database: Database, held: Job, state: int = SUCCEEDED, **values: Any) -> None:
    with database.begin() as connection:
        now = round(time.time() * 1e6)
        assert results.end(connection, held, state, now=now, **values)


def messages(server: RedisServer, queue: str = INTERACTIVE) -> list[dict[str, Any]]:
    """Return what a worker would be told, in that order."""
    with redis.Redis.from_url(server.url) as client:
        found = reversed(client.lrange(queue, 0, -1))
        return [orjson.loads(item) for item in found]


async def soon(check: Callable[[], Any]) -> None:
    until = time.monotonic() + PATIENCE
    while not check():
        assert time.monotonic() < until
        await asyncio.sleep(0.02)


def unpublished(database: Database) -> list[Job]:
    with database.reading() as connection:
        return jobs.unpublished(connection, 100)
