"""Waiting for a job, and watching it: with Redis at once, without it a second later."""

import asyncio

import pytest

from services.core.errors import DeadlineExceededError, NotFoundError
from services.core.ids import new_id
from services.core.settings import Settings
from services.jobs.desk import JobDesk
from services.jobs.events import Event
from services.jobs.names import TRAIN, TRAINING
from services.jobs.notices import Notices
from services.ledger.database import jobs
from services.ledger.database.job_rows import JOB_FAILED, RUNNING, SUCCEEDED
from services.ledger.database.opening import Database
from tests.jobs.conftest import MakeDesk
from tests.jobs.played import end, take, work
from tests.support.patience import PATIENCE
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio


async def test_waiting_ends_with_the_job(
    make_desk: MakeDesk, opened: Database, queued: Settings
) -> None:
    desk, notices = make_desk(), Notices(queued)
    job, _ = await desk.submit(work())
    with pytest.raises(DeadlineExceededError):
        await desk.wait(job.id, 0.05)
    waiting = asyncio.ensure_future(desk.wait(job.id, PATIENCE))
    await asyncio.sleep(0.1)
    held = await asyncio.to_thread(take, opened, job)
    packed = {"output": {"about": {"form": "json"}, "text": '{"sum":3.5}'}, "seconds": 0.1}
    await asyncio.to_thread(end, opened, held, result=packed)
    notices.tell(job.id, "completed", {}, SUCCEEDED)
    ended = await waiting
    assert ended.state == SUCCEEDED
    assert await desk.result(ended) == {"output": {"sum": 3.5}, "seconds": 0.1}
    assert (await desk.wait(job.id, PATIENCE)) == ended
    notices.close()
    with pytest.raises(NotFoundError):
        await desk.wait(new_id(), 1)


async def test_waiting_needs_no_redis(
    make_desk: MakeDesk, opened: Database, redis_server: RedisServer
) -> None:
    desk = make_desk()
    job, _ = await desk.submit(work())
    waiting = asyncio.ensure_future(desk.wait(job.id, PATIENCE))
    await asyncio.sleep(0.1)
    redis_server.kill()
    held = await asyncio.to_thread(take, opened, job)
    await asyncio.to_thread(end, opened, held, JOB_FAILED, error={"code": "x", "message": "y"})
    assert (await waiting).error == {"code": "x", "message": "y"}


async def collect(desk: JobDesk, id: str, last: str | None = None) -> list[Event]:
    async with asyncio.timeout(PATIENCE):
        return [event async for event in desk.events(id, last)]


async def test_events_from_the_beginning_to_the_end(
    make_desk: MakeDesk, opened: Database, queued: Settings
) -> None:
    desk, notices = make_desk(), Notices(queued)
    job, _ = await desk.submit(work(queue=TRAINING, task=TRAIN))
    watching = asyncio.ensure_future(collect(desk, job.id))
    await asyncio.sleep(0.1)
    held = await asyncio.to_thread(take, opened, job)
    notices.tell(job.id, "start", {"attempt": 1}, RUNNING)
    await asyncio.sleep(0.1)
    for done in range(3):
        notices.tell(job.id, "progress", {"done": done}, RUNNING)
    await asyncio.to_thread(end, opened, held, result={"accuracy": 0.9})
    notices.tell(job.id, "completed", {}, SUCCEEDED)
    notices.close()
    found = await watching
    assert [event.event for event in found] == [
        "status", "start", "progress", "progress", "progress", "completed",
    ]  # fmt: skip
    assert found[0].data["status"] == "starting"
    assert (found[-1].data["status"], found[-1].data["output"]) == ("succeeded", {"accuracy": 0.9})
    # Whoever comes later, or comes again, gets what he has not had.
    again = await collect(desk, job.id, found[2].id)
    assert [event.data for event in again if event.event == "progress"] == [
        {"done": 1},
        {"done": 2},
    ]
    assert [event.event for event in again][:: len(again) - 1] == ["status", "completed"]
    assert len(await collect(desk, job.id, "nonsense")) == len(found)


async def test_events_need_no_redis(
    make_desk: MakeDesk, opened: Database, redis_server: RedisServer
) -> None:
    redis_server.kill()
    desk = make_desk()
    job, _ = await desk.submit(work())
    watching = asyncio.ensure_future(collect(desk, job.id))
    await asyncio.sleep(0.1)
    held = await asyncio.to_thread(take, opened, job)
    with opened.begin() as connection:
        jobs.renew(connection, job.id, held.token, held.leased_until or 0, {"done": 1})
    await asyncio.sleep(1.5)
    await asyncio.to_thread(end, opened, held)
    found = await watching
    assert [event.event for event in found] == ["status", "progress", "completed"]


async def test_a_watcher_is_told_that_nothing_happens(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.jobs.events._HEARTBEAT", 0.05)
    desk = make_desk()
    job, _ = await desk.submit(work())
    seen = []
    async with asyncio.timeout(PATIENCE):
        async for event in desk.events(job.id):
            seen.append(event.event)
            if seen.count("ping") == 3:
                await desk.cancel(job.id)
    assert seen[0] == "status" and seen[-1] == "completed"
