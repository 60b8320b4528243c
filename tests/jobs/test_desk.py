"""Jobs through the desk: a real database, a real Redis, and workers played by the test."""

import asyncio
import time
from collections import Counter
from typing import Any

import orjson
import pytest

from services.core.errors import (
    ConflictError,
    InvalidInputError,
    JobsUnavailableError,
    LedgerFullError,
    LedgerUnavailableError,
    NotFoundError,
    OverloadedError,
    SlipwayError,
)
from services.core.ids import new_id
from services.core.settings import Settings
from services.jobs.blobs import Blobs
from services.jobs.desk import JobDesk
from services.jobs.names import BATCH, INTERACTIVE, PREDICT, TRAIN
from services.ledger.database import jobs
from services.ledger.database.job_rows import (
    CANCELED,
    JOB_FAILED,
    QUEUED,
)
from services.ledger.database.opening import Database, open_database
from tests.conftest import MakeSettings
from tests.jobs.conftest import MakeDesk, on_both
from tests.jobs.played import end, messages, soon, take, unpublished, work
from tests.support.patience import PATIENCE
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio


async def test_what_was_accepted_is_on_disk_and_on_its_way(
    make_desk: MakeDesk, redis_server: RedisServer, opened: Database
) -> None:
    desk = make_desk()
    job, is_new = await desk.submit(work(caller="ada", request_id="r-1"))
    assert (is_new, job.state, job.subject, job.caller) == (True, QUEUED, "adder", "ada")
    with opened.reading() as connection:
        assert jobs.get(connection, job.id) is not None
    await soon(lambda: len(messages(redis_server)) == 1)
    (message,) = messages(redis_server)
    assert message["headers"]["task"] == "slipway.run"
    assert len(orjson.dumps(message)) < 4096
    await soon(lambda: not unpublished(opened))
    assert await desk.get(job.id) == await desk.by_number(job.number)
    assert await desk.payload(job) == {"features": [1.0, 2.5]}
    with pytest.raises(NotFoundError):
        await desk.get(new_id())


async def test_what_is_large_is_a_blob(make_desk: MakeDesk) -> None:
    desk = make_desk(job_inline_bytes=100)
    payload = {"features": [float(n) for n in range(500)]}
    job, _ = await desk.submit(work(payload=payload))
    assert job.payload is not None and desk.blobs.has(job.payload)
    assert len(orjson.dumps(job.options)) < 300
    assert await desk.payload(job) == payload


@on_both
async def test_a_hundred_at_once_with_one_key_are_one_job(make_desk: MakeDesk) -> None:
    desks = make_desk(), make_desk()
    answers = await asyncio.gather(
        *(desks[n % 2].submit(work(key="k", caller="ada", request_id=str(n))) for n in range(100))
    )
    assert len({job.id for job, _ in answers}) == 1
    assert Counter(is_new for _, is_new in answers) == {True: 1, False: 99}
    assert (await desks[0].submit(work(key="k", caller="bob")))[1]
    with pytest.raises(ConflictError):
        await desks[0].submit(work(key="k", caller="ada", payload={"features": [9]}))


@on_both
async def test_one_id_is_one_job(make_desk: MakeDesk) -> None:
    desk, id = make_desk(), new_id()
    answers = await asyncio.gather(*(desk.submit(work(id=id)) for _ in range(20)))
    assert {job.id for job, _ in answers} == {id}
    assert [is_new for _, is_new in answers].count(True) == 1
    for other in (work(id=id, subject="else"), work(id=id, caller="bob")):
        with pytest.raises(ConflictError) as caught:
            await desk.submit(other)
        assert caught.value.where == "id"
    await desk.submit(work(key="mine"))
    with pytest.raises(ConflictError):
        await desk.submit(work(id=id, key="mine"))


async def test_one_that_is_refused_spoils_it_for_nobody(make_desk: MakeDesk) -> None:
    desk = make_desk()
    await desk.submit(work(key="k"))
    wrong = [work(key="k", payload=n) for n in range(20)]
    answers = await asyncio.gather(
        *(desk.submit(one) for one in (*wrong, *(work() for _ in range(20)))),
        return_exceptions=True,
    )
    assert all(isinstance(answer, ConflictError) for answer in answers[:20])
    assert all(not isinstance(answer, BaseException) and answer[1] for answer in answers[20:])


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"key": "k" * 257}, "Idempotency-Key"),
        ({"key": ""}, "Idempotency-Key"),
        ({"key": "a\nb"}, "Idempotency-Key"),
        ({"caller": "c" * 129}, "caller"),
        ({"subject": "m" * 257}, "subject"),
        ({"queue": "else"}, "queue"),
        ({"id": "17"}, "id"),
        ({"ttl": 0.0}, "ttl"),
        ({"ttl": 1e9}, "ttl"),
    ],
)
async def test_what_cannot_be_used_is_refused(
    make_desk: MakeDesk, values: dict[str, Any], where: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        await make_desk().submit(work(**values))
    assert caught.value.where == where


async def test_the_longest_key_counts_to_its_last_letter(make_desk: MakeDesk) -> None:
    desk = make_desk()
    first, _ = await desk.submit(work(key="k" * 255 + "a", caller="c" * 128))
    other, is_new = await desk.submit(work(key="k" * 255 + "b", caller="c" * 128))
    assert is_new and other.id != first.id


async def test_without_redis_nothing_is_accepted(make_settings: MakeSettings) -> None:
    for settings in (make_settings(), make_settings(redis_url="redis://x", jobs=False)):
        desk = JobDesk(settings)
        assert not desk.enabled and await desk.ready() is not None
        with pytest.raises(JobsUnavailableError) as caught:
            await desk.submit(work())
        assert caught.value.retry_after
        assert await desk.listing() == []
        await desk.close()


async def test_a_full_queue_is_refused_and_says_when(make_desk: MakeDesk) -> None:
    desk = make_desk(job_max_queued=5)
    first, _ = await desk.submit(work(key="first"))
    answers = await asyncio.gather(
        *(desk.submit(work()) for _ in range(10)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, OverloadedError)]
    assert len(refused) == 6 and all(error.retry_after for error in refused)
    # Another queue has room, and what was accepted before is answered.
    assert (await desk.submit(work(queue=BATCH)))[1]
    assert (await desk.submit(work(key="first")))[0].id == first.id
    await desk.cancel(first.id)
    await asyncio.sleep(0.3)
    assert (await desk.submit(work()))[1]


@on_both
async def test_while_redis_is_away_jobs_are_accepted_up_to_a_bound(
    make_desk: MakeDesk, redis_server: RedisServer, opened: Database
) -> None:
    desk = make_desk(job_max_unpublished=8)
    assert await desk.ready() is None
    redis_server.kill()
    assert await desk.ready() is not None
    for _ in range(8):
        await desk.submit(work())
    with pytest.raises(JobsUnavailableError) as caught:
        await desk.submit(work())
    assert caught.value.retry_after
    redis_server.start()
    await soon(lambda: not unpublished(opened))
    assert len(messages(redis_server)) == 8
    await asyncio.sleep(0.3)
    assert (await desk.submit(work()))[1]


async def test_a_disk_that_is_full_is_said_before_anything_is_accepted(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch, opened: Database
) -> None:
    def full(*_: object) -> str:
        raise LedgerFullError("full", retry_after=5.0)

    monkeypatch.setattr(Blobs, "put", full)
    with pytest.raises(LedgerFullError):
        await make_desk(job_inline_bytes=10).submit(work())
    assert unpublished(opened) == []


async def test_a_database_that_is_away_is_said(make_desk: MakeDesk) -> None:
    desk = make_desk(ledger_database_url="postgresql://a:b@127.0.0.1:1/x")
    with pytest.raises(LedgerUnavailableError):
        await desk.submit(work())
    with pytest.raises(LedgerUnavailableError):
        await desk.get(new_id())


async def test_cancel_and_again(make_desk: MakeDesk, redis_server: RedisServer) -> None:
    desk = make_desk()
    job, _ = await desk.submit(work())
    with pytest.raises(ConflictError):
        await desk.again(job.id)
    assert (await desk.cancel(job.id)).state == CANCELED
    assert (await desk.cancel(job.id)).state == CANCELED
    revived = await desk.again(job.id)
    assert (revived.state, revived.cancel, revived.attempts) == (QUEUED, False, 0)
    await soon(lambda: len(messages(redis_server)) == 2)
    for call in (desk.cancel, desk.again):
        with pytest.raises(NotFoundError):
            await call(new_id())


async def test_an_answered_prediction_is_not_made_again(
    make_desk: MakeDesk, opened: Database
) -> None:
    desk = make_desk()
    for task, refused in ((PREDICT, True), (TRAIN, False)):
        job, _ = await desk.submit(work(task=task))
        end(opened, take(opened, job), JOB_FAILED, error={"code": "x"})
        if refused:
            with pytest.raises(ConflictError):
                await desk.again(job.id)
        else:
            assert (await desk.again(job.id)).state == QUEUED


@on_both
async def test_position_and_estimate(make_desk: MakeDesk, opened: Database) -> None:
    from services.ledger.database import workers

    desk = make_desk()
    some = [(await desk.submit(work()))[0] for _ in range(8)]
    assert (await desk.position(some[0])).ahead == 0
    place = await desk.position(some[7])
    assert (place.ahead, place.seconds) == (7, None)
    now = round(time.time() * 1e6)
    with opened.begin() as connection:
        workers.seen(connection, workers.Worker("w", INTERACTIVE, "here", 1, now, now))
    for job in some[:4]:
        end(opened, take(opened, job))
        await asyncio.sleep(0.01)
    place = await desk.position(await desk.get(some[7].id))
    assert place.ahead == 3
    assert place.seconds is not None and 0 < place.seconds < PATIENCE
    assert (await desk.position(await desk.get(some[0].id))).ahead == 0
    (depth,) = await desk.depths()
    assert (depth.queue, depth.waiting, depth.running) == (INTERACTIVE, 4, 0)
    assert [worker.name for worker in await desk.workers()] == ["w"]


async def test_listing(make_desk: MakeDesk) -> None:
    desk = make_desk()
    some = [(await desk.submit(work(task=task)))[0] for task in (PREDICT, TRAIN, "sweep") * 2]
    numbers = [job.number for job in some]
    page = await desk.listing(limit=4)
    assert [job.number for job in page] == numbers[:1:-1]
    assert [job.number for job in await desk.listing(before=page[-1].number)] == numbers[1::-1]
    both = await desk.listing(task=(TRAIN, "sweep"), state=QUEUED)
    assert len(both) == 4 == await desk.count(task=(TRAIN, "sweep"), state=(QUEUED,))
    assert await desk.listing(subject="else") == []
    assert await desk.listing(since=some[-1].created + 1) == []


async def test_nobody_waits_long_for_a_closed_desk(make_desk: MakeDesk) -> None:
    desk = make_desk()
    await desk.submit(work())
    await desk.close()
    with pytest.raises((SlipwayError, RuntimeError)):
        await desk.submit(work())


async def test_what_was_accepted_before_it_closed_is_sent(
    make_desk: MakeDesk, redis_server: RedisServer, queued: Settings
) -> None:
    desk = make_desk()
    done = await asyncio.gather(*(desk.submit(work()) for _ in range(50)))
    await desk.close()
    assert len(messages(redis_server)) == len(done)
    database = open_database(queued)
    assert unpublished(database) == []
    database.close()
