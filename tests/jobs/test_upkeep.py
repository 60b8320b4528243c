"""Jobs whose workers, messages or time were lost: set right, told and counted."""

import base64
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis
from sqlalchemy import update

from services.core.settings import Settings
from services.jobs import results
from services.jobs.expiry import sweep
from services.jobs.names import EVENTS, INTERACTIVE, TRAINING
from services.jobs.reconciler import Reconciler, Tick
from services.jobs.results import Ending
from services.jobs.sync import JobStore
from services.ledger.database import deliveries, job_records, job_totals
from services.ledger.database.job_rows import (
    CANCELED,
    DEAD,
    EXPIRED,
    JOB_FAILED,
    MOST_ATTEMPTS,
    QUEUED,
    SUCCEEDED,
    Job,
)
from services.ledger.database.job_tables import jobs as table
from services.ledger.database.job_upkeep import Upkeep
from services.ledger.database.opening import Database
from tests.jobs.conftest import on_both
from tests.jobs.played import messages, take, unpublished, work
from tests.jobs.test_blobs import age
from tests.support.redis_server import RedisServer

pytestmark = on_both
HOUR = 3_600_000_000
WEBHOOK = {"url": "https://example.org/hook", "events": ["start", "completed"]}


def change(database: Database, *some: Job, **values: Any) -> None:
    with database.begin() as connection:
        ids = [job.id for job in some]
        connection.execute(update(table).where(table.c.id.in_(ids)).values(**values))


def now() -> int:
    return round(time.time() * 1e6)


@pytest.fixture
def tick(queued: Settings, opened: Database) -> Any:
    with Reconciler(queued, opened) as reconciler:
        yield reconciler.tick


def totals(database: Database) -> dict[str, int]:
    with database.reading() as connection:
        return job_totals.read(connection)


def test_a_lost_worker(
    store: JobStore, opened: Database, tick: Any, redis_server: RedisServer
) -> None:
    job, _ = store.submit(work(webhook=WEBHOOK))
    assert tick() == Tick(Upkeep())
    for attempt in range(MOST_ATTEMPTS):
        held = take(opened, job)
        assert held.attempts == attempt + 1
        change(opened, job, leased_until=now() - 1, created=now() - HOUR)
        done = tick()
        if held.attempts < MOST_ATTEMPTS:
            assert (done.upkeep, done.published) == (Upkeep(requeued=1), 1)
    assert done.upkeep == Upkeep(dead=1)
    dead = store.get(job.id)
    assert dead.state == DEAD and dead.error is not None
    assert dead.error["code"] == "worker_lost"
    assert len(messages(redis_server)) == MOST_ATTEMPTS
    with opened.reading() as connection:
        (told,) = deliveries.of_job(connection, job.id)
    body = orjson.loads(told.body)
    assert (told.event, body["status"], body["error"]["code"]) == (
        "completed", "failed", "worker_lost",
    )  # fmt: skip
    counted = totals(opened)
    assert counted["jobs_dead_interactive"] == 1
    assert counted["job_retries_interactive"] == MOST_ATTEMPTS - 1
    with redis.Redis.from_url(redis_server.url) as client:
        ((_, fields),) = client.xrange(EVENTS + job.id)
        assert fields[b"event"] == b"completed"
        assert 0 < client.ttl(EVENTS + job.id) <= 120
    # Late, and with an old token: nothing of it counts.
    with opened.begin() as connection:
        record = ("p-1", now(), job.id, b"{}")
        ending = Ending(held, SUCCEEDED, {"output": 1}, None, [record])
        assert results.end_many(connection, [ending], now()) == [False]
    assert store.get(job.id) == dead
    with opened.reading() as connection:
        assert job_records.get(connection, "p-1") is None
    assert totals(opened)["lease_losses"] == 1


def test_time_that_ran_out_and_one_to_be_canceled(
    store: JobStore, opened: Database, tick: Any
) -> None:
    late, running = (store.submit(work(ttl=1000.0))[0] for _ in range(2))
    take(opened, running)
    assert store.cancel(running.id).cancel
    change(opened, late, running, expires=now() - 1)
    change(opened, running, leased_until=now() - 1)
    assert tick().upkeep == Upkeep(expired=1, canceled=1)
    assert (store.get(late.id).state, store.get(running.id).state) == (EXPIRED, CANCELED)
    counted = totals(opened)
    assert (counted["jobs_expired_interactive"], counted["jobs_canceled_interactive"]) == (1, 1)


def test_one_whose_gateway_died_before_it_was_published(
    store: JobStore, opened: Database, tick: Any, redis_server: RedisServer
) -> None:
    redis_server.kill()
    some = [store.submit(work())[0] for _ in range(3)]
    assert len(unpublished(opened)) == 3
    done = tick()
    assert not done.published
    redis_server.start()
    # Whoever accepted it is given a moment.
    change(opened, *some, created=now())
    assert tick() == Tick(Upkeep())
    change(opened, *some, created=now() - 3_000_000)
    assert tick() == Tick(Upkeep(), published=3)
    assert unpublished(opened) == []
    assert tick() == Tick(Upkeep())
    sent = [orjson.loads(base64.b64decode(one["body"])) for one in messages(redis_server)]
    assert [body[1]["id"] for body in sent] == [job.id for job in some]


def test_messages_that_redis_lost(
    store: JobStore, opened: Database, tick: Any, redis_server: RedisServer
) -> None:
    some = [store.submit(work())[0] for _ in range(4)]
    training, _ = store.submit(work(queue=TRAINING))
    long_ago = now() - 60_000_000
    change(opened, *some, training, published=long_ago, created=long_ago)
    # As many as wait, and none has overtaken: it is only slow.
    assert tick() == Tick(Upkeep())
    with redis.Redis.from_url(redis_server.url) as client:
        client.rpop(INTERACTIVE)
    assert tick() == Tick(Upkeep(), stale=4, published=4)
    assert len(messages(redis_server)) == 7
    # It does not go on and on.
    assert tick() == Tick(Upkeep())
    change(opened, *some, published=now() - 60_000_000)
    assert tick() == Tick(Upkeep())
    # One that was published well after another has begun: that one's message is gone.
    change(opened, some[0], published=now() - 61_000_000)
    change(opened, *some[1:], published=now() - 40_000_000)
    take(opened, some[3])
    assert tick() == Tick(Upkeep(), stale=1, published=1)
    assert store.get(some[0].id).published != some[0].published


def test_an_end_is_one_transaction(store: JobStore, opened: Database) -> None:
    first, second, third = (store.submit(work(webhook=WEBHOOK))[0] for _ in range(3))
    held = [take(opened, job) for job in (first, second)]
    stale = take(opened, third)
    change(opened, third, token=stale.token + 1)
    packed = {"output": {"about": {"form": "json"}, "ref": "0" * 64 + ".bin"}, "seconds": 1.5}
    endings = [
        Ending(held[0], SUCCEEDED, packed, None, [("p-1", now(), first.id, b"{}")]),
        Ending(stale, SUCCEEDED, 1, None, [("p-3", now(), third.id, b"{}")]),
        Ending(held[1], JOB_FAILED, None, {"code": "x", "message": "y"}),
    ]
    with opened.begin() as connection:
        assert results.webhook(connection, first, "start", now())
        assert not results.webhook(connection, first, "progress", now())
        assert results.end_many(connection, endings, now()) == [True, False, True]
    assert store.get(first.id).result_ref == "0" * 64 + ".bin"
    with opened.reading() as connection:
        assert job_records.get(connection, "p-1") == b"{}"
        assert job_records.get(connection, "p-3") is None
        events = [one.event for one in deliveries.of_job(connection, first.id)]
        assert events == ["start", "completed"]
        assert deliveries.of_job(connection, third.id) == []
    counted = totals(opened)
    assert (counted["jobs_succeeded_interactive"], counted["jobs_failed_interactive"]) == (1, 1)
    assert (counted["job_timed_interactive"], counted["lease_losses"]) == (2, 1)


def test_what_is_old_is_forgotten_with_its_blobs(
    queued: Settings, store: JobStore, opened: Database, tmp_path: Path
) -> None:
    settings = queued.model_copy(update={"job_inline_bytes": 0, "job_keep_days": 1.0})
    with JobStore(settings) as large:
        old, _ = large.submit(work(payload={"a": 1}, webhook=WEBHOOK))
        new, _ = large.submit(work(payload={"a": 2}))
    stray, young = store.blobs.put(b"stray"), store.blobs.put(b"young")
    assert old.payload is not None and new.payload is not None
    for ref in (old.payload, new.payload, stray):
        age(tmp_path, ref, 4000)
    held = take(opened, old)
    with opened.begin() as connection:
        assert results.end(connection, held, SUCCEEDED, now=now())
    swept = sweep(settings, opened, store.blobs)
    assert (swept.jobs, swept.blobs) == (0, 1)
    change(opened, old, completed=now() - 25 * HOUR)
    swept = sweep(settings, opened, store.blobs)
    assert (swept.jobs, swept.blobs) == (1, 1)
    assert store.blobs.has(new.payload) and store.blobs.has(young)
    assert not store.blobs.has(old.payload)
    assert store.get(new.id).state == QUEUED
    with opened.reading() as connection:
        assert deliveries.of_job(connection, old.id) == []
