"""Jobs in the database: accepted once, held by one, and ended by whoever holds them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from services.core.errors import ConflictError
from services.core.ids import new_id
from services.ledger.database import job_adding, job_upkeep, jobs
from services.ledger.database.job_rows import (
    CANCELED,
    DEAD,
    EXPIRED,
    JOB_FAILED,
    MOST_ATTEMPTS,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    Job,
    NewJob,
)
from services.ledger.database.opening import Database

NOW = 1_763_740_800_000_000
SECOND = 1_000_000


def wanted(**values: Any) -> NewJob:
    known: dict[str, Any] = {
        "id": new_id(), "queue": "batch", "task": "predict", "subject": "adder",
        "fingerprint": "f" * 64, "options": {"threshold": 0.5}, "created": NOW,
    }  # fmt: skip
    return NewJob(**(known | values))


def add(database: Database, **values: Any) -> Job:
    with database.begin() as connection:
        return job_adding.add(connection, wanted(**values))[0]


def take(database: Database, job: Job, *, now: int = NOW, seconds: int = 10) -> Job | None:
    with database.begin() as connection:
        found = jobs.take(connection, job.id, "worker-1", now, now + seconds * SECOND)
    return found[0] if found else None


def taken(database: Database, job: Job, **values: int) -> Job:
    found = take(database, job, **values)
    assert found is not None
    return found


def now_is(database: Database, job: Job) -> Job:
    with database.reading() as connection:
        found = jobs.get(connection, job.id)
    assert found is not None
    return found


def finish(database: Database, job: Job, state: int = SUCCEEDED, **values: Any) -> bool:
    with database.begin() as connection:
        return jobs.finish(connection, job.id, job.token, state, NOW + 5, **values)


def upkeep(database: Database, now: int) -> job_upkeep.Upkeep:
    with database.begin() as connection:
        needed = job_upkeep.due(connection, now)
        done = job_upkeep.reconcile(connection, now)
        assert needed == (done != job_upkeep.Upkeep())
        assert len(done.ended) == done.dead + done.canceled + done.expired
        assert len(done.queued) == done.requeued
        return done


def test_the_life_of_a_job(database: Database) -> None:
    job = add(database, payload="abc.json", caller="ada", request_id="r-1", key="ada:1")
    assert (job.state, job.attempts, job.published, job.cancel) == (QUEUED, 0, None, False)
    assert (job.options, job.payload, job.key) == ({"threshold": 0.5}, "abc.json", "ada:1")
    with database.begin() as connection:
        assert jobs.unpublished(connection, 10) == [job]
        jobs.published(connection, [job.id], NOW + 1)
        assert jobs.unpublished(connection, 10) == []
    held = taken(database, job, now=NOW + 2)
    assert (held.state, held.attempts, held.token, held.worker) == (RUNNING, 1, 1, "worker-1")
    assert (held.started, held.leased_until) == (NOW + 2, NOW + 2 + 10 * SECOND)
    assert take(database, job) is None
    with database.begin() as connection:
        assert jobs.renew(connection, job.id, 1, NOW + 20 * SECOND, {"done": 3})
    assert now_is(database, job).progress == {"done": 3}
    assert finish(database, held, result={"prediction": 1})
    ended = now_is(database, job)
    assert (ended.state, ended.result, ended.completed) == (SUCCEEDED, {"prediction": 1}, NOW + 5)
    assert (ended.worker, ended.leased_until) == (None, None)
    assert take(database, job) is None
    assert not finish(database, held, result={"prediction": 2})
    assert now_is(database, job) == ended


def test_one_key_is_one_job(database: Database) -> None:
    first = add(database, key="ada:1")
    with database.begin() as connection:
        found, is_new = job_adding.add(connection, wanted(key="ada:1"))
        assert (found, is_new) == (first, False)
        again, is_new = job_adding.add(connection, wanted(id=first.id, key="ada:1"))
        assert (again.id, is_new) == (first.id, False)
    with pytest.raises(ConflictError), database.begin() as connection:
        job_adding.add(connection, wanted(key="ada:1", fingerprint="0" * 64))
    with pytest.raises(ConflictError), database.begin() as connection:
        job_adding.add(connection, wanted(id=first.id, fingerprint="0" * 64))
    assert add(database, key="bob:1").id != first.id


def test_a_hundred_at_once_with_one_key(database: Database) -> None:
    def ask(_: int) -> tuple[str, bool]:
        with database.begin() as connection:
            job, is_new = job_adding.add(connection, wanted(key="same"))
            return job.id, is_new

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(100)))
    assert len({id for id, _ in answers}) == 1
    assert [is_new for _, is_new in answers].count(True) == 1


def test_many_want_it_and_one_gets_it(database: Database) -> None:
    job = add(database)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: take(database, job), range(24)))
    assert sum(one is not None for one in found) == 1
    assert now_is(database, job).attempts == 1


def test_a_lease_that_ran_out_counts_no_more(database: Database) -> None:
    job = add(database)
    slow = taken(database, job)
    assert upkeep(database, NOW + 9 * SECOND) == job_upkeep.Upkeep()
    assert upkeep(database, NOW + 11 * SECOND) == job_upkeep.Upkeep(requeued=1)
    assert now_is(database, job).state == QUEUED
    quick = taken(database, job, now=NOW + 12 * SECOND)
    assert quick.token == 2
    with database.begin() as connection:
        assert not jobs.renew(connection, job.id, slow.token, NOW + 60 * SECOND)
        assert not jobs.hand_back(connection, job.id, slow.token)
    assert not finish(database, slow, result="late")
    assert finish(database, quick, result="right")
    assert now_is(database, job).result == "right"


def test_after_three_attempts_it_is_dead_until_somebody_says_otherwise(database: Database) -> None:
    job, other, now = add(database), add(database), NOW
    for attempt in range(MOST_ATTEMPTS):
        assert now_is(database, job).attempts == attempt
        taken(database, job, now=now)
        now += 11 * SECOND
        upkeep(database, now)
    dead = now_is(database, job)
    assert (dead.state, dead.completed) == (DEAD, now)
    assert dead.error is not None
    assert dead.error["code"] == "worker_lost"
    assert now_is(database, other).state == QUEUED
    with database.begin() as connection:
        assert jobs.again(connection, job.id, now) is not None
        assert jobs.again(connection, other.id, now) is None
    revived = now_is(database, job)
    assert (revived.state, revived.attempts, revived.error) == (QUEUED, 0, None)
    assert taken(database, job, now=now).token == 4


def test_given_back_is_not_an_attempt(database: Database) -> None:
    job = add(database)
    for token in range(1, 6):
        held = taken(database, job)
        assert (held.token, held.attempts) == (token, 1)
        with database.begin() as connection:
            assert jobs.hand_back(connection, job.id, held.token)
    assert replace(now_is(database, job), token=0, started=None) == job


def test_canceled_before_it_began(database: Database) -> None:
    job = add(database)
    with database.begin() as connection:
        found = jobs.cancel(connection, job.id, NOW + 1)
    assert found is not None
    assert (found.state, found.completed) == (CANCELED, NOW + 1)
    assert take(database, job) is None
    with database.begin() as connection:
        assert jobs.cancel(connection, job.id, NOW + 2) == found
        assert jobs.cancel(connection, new_id(), NOW) is None


def test_canceled_while_it_runs(database: Database) -> None:
    job = add(database)
    held = taken(database, job)
    with database.begin() as connection:
        found = jobs.cancel(connection, job.id, NOW + 1)
        assert found is not None
        assert (found.state, found.cancel, found.completed) == (RUNNING, True, None)
        # By this its worker learns of it.
        assert not jobs.renew(connection, job.id, held.token, NOW + 60 * SECOND)
    assert finish(database, held, CANCELED)
    assert now_is(database, job).state == CANCELED


def test_canceled_while_its_worker_died(database: Database) -> None:
    job = add(database)
    taken(database, job)
    with database.begin() as connection:
        jobs.cancel(connection, job.id, NOW + 1)
    assert upkeep(database, NOW + 11 * SECOND) == job_upkeep.Upkeep(canceled=1)
    assert now_is(database, job).state == CANCELED


def test_what_is_past_its_time_never_runs(database: Database) -> None:
    job = add(database, expires=NOW + 5 * SECOND)
    assert take(database, job, now=NOW + 5 * SECOND) is None
    assert upkeep(database, NOW + 5 * SECOND) == job_upkeep.Upkeep(expired=1)
    ended = now_is(database, job)
    assert (ended.state, ended.error and ended.error["code"]) == (EXPIRED, "expired")
    running = add(database, expires=NOW + 5 * SECOND)
    held = taken(database, running)
    upkeep(database, NOW + 6 * SECOND)
    assert finish(database, held)


def test_a_message_that_was_lost_is_sent_again(database: Database) -> None:
    job, other, held = add(database), add(database), add(database)
    with database.begin() as connection:
        jobs.published(connection, [job.id, held.id], NOW)
        jobs.published(connection, [other.id], NOW + 9)
    taken(database, held)
    with database.begin() as connection:
        assert job_upkeep.unheard(connection, NOW) == {}
        assert job_upkeep.unheard(connection, NOW + 1) == {"batch": 1}
        assert job_upkeep.begun(connection) == {"batch": NOW}
        assert job_upkeep.unpublish(connection, "training", NOW + 1, 10) == 0
        assert job_upkeep.unpublish(connection, "batch", NOW + 1, 10) == 1
    with database.reading() as connection:
        assert [one.id for one in jobs.unpublished(connection, 10)] == [job.id]
        assert jobs.unpublished(connection, 10, before=NOW) == []
        assert job_upkeep.unpublished_count(connection) == 1
        assert jobs.still_unpublished(connection, [job.id, other.id, held.id]) == {job.id}


def test_queues_are_counted(database: Database) -> None:
    first, second, third = (add(database, created=NOW + i) for i in range(3))
    other = add(database, queue="training")
    held = taken(database, first)
    failed = add(database)
    finish(database, taken(database, failed), JOB_FAILED, error={"code": "x"})
    with database.reading() as connection:
        found = job_upkeep.depths(connection)
        assert [job_upkeep.ahead(connection, "batch", one.number) for one in (second, third)] == [
            0,
            1,
        ]
        assert job_upkeep.ahead(connection, "training", other.number) == 0
    assert found == [
        job_upkeep.Depth("batch", 2, 1, NOW + 1, 2),
        job_upkeep.Depth("training", 1, 0, NOW, 1),
    ]
    assert held.id == first.id


def test_what_ended_long_ago_is_forgotten(database: Database) -> None:
    ended, running, waiting = add(database, payload="a"), add(database), add(database, payload="b")
    finish(database, taken(database, ended))
    taken(database, running)
    with database.begin() as connection:
        assert job_upkeep.forget(connection, NOW + 5, 10) == []
        assert job_upkeep.forget(connection, NOW + 6, 10) == [ended.id]
        assert job_upkeep.named(connection, ["a", "b", "c"]) == {"b"}
    with database.reading() as connection:
        assert jobs.get(connection, ended.id) is None
        assert jobs.get(connection, waiting.id) is not None
