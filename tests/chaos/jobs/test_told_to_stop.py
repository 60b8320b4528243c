"""SIGTERM in the middle of work: what runs is finished, or handed back; nothing is lost."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from services.jobs.celery_app import SOFT_SHUTDOWN
from services.ledger.database.job_rows import QUEUED, RUNNING, SUCCEEDED
from tests.chaos.jobs import evidence
from tests.chaos.jobs.conftest import MakeStand
from tests.chaos.jobs.crew import ChaosStand, Crew, orphans
from tests.chaos.jobs.posting import Posting
from tests.support.jobs_stand import wait
from tests.support.patience import AT_ONCE, PATIENCE

pytestmark = pytest.mark.slow

# What a supervisor waits before it kills: the grace of the work, and what an end takes besides.
_GRACE = SOFT_SHUTDOWN + AT_ONCE
_ROUNDS = {"short": 1, "full": 10, "long": 20}
# Longer than any grace.
_FOREVER = 120


def test_workers_are_told_to_stop(
    make_stand: MakeStand, form: str, report: Callable[[dict[str, Any]], None]
) -> None:
    """Again and again, under load: every job is begun once, or was handed back uncounted."""
    stand = make_stand(job_lease=15)
    stand.beat()
    crew = Crew(stand, 2, 8)
    wanted: dict[str, int] = {}
    seconds = []
    for _ in range(_ROUNDS[form]):
        numbers = range(len(wanted), len(wanted) + 40)
        wanted |= dict(zip(stand.add_jobs(numbers, 0.1), numbers, strict=True))
        wait(lambda: crew_is_at_work(stand))
        began = time.monotonic()
        assert crew.stop() == [0, 0]
        seconds.append(time.monotonic() - began)
        # Nobody holds anything any more, whoever stopped in the middle.
        assert not [job for job in evidence.all_jobs(stand).values() if job.state == RUNNING]
        crew = Crew(stand, 2, 8)
    evidence.wait_ended(stand, 120)
    ends = evidence.check_ends(stand, wanted)
    assert not ends.dead
    assert {job.attempts for job in ends.succeeded.values()} == {1}
    assert evidence.records_anywhere(stand) == dict.fromkeys(wanted, 1)
    assert not stand.totals().get("job_retries_interactive")
    assert not orphans(stand.running)
    assert max(seconds) < _GRACE
    report({"jobs": len(wanted), "stops": len(seconds), "seconds for one": f"{max(seconds):.1f}"})


def test_what_outlasts_the_grace_is_handed_back(make_stand: MakeStand, form: str) -> None:
    """The short form does not wait for its end: a second signal says that it is over."""
    stand = make_stand(job_lease=15)
    stand.beat()
    worker = stand.worker()
    long, queued = (
        stand.submit({"do": "sleep", "seconds": _FOREVER if one else 0, "echo": one})
        for one in (1, 0)
    )
    stand.wait_state(long, RUNNING)
    began = time.monotonic()
    worker.process.terminate()
    if form == "short":
        worker.wait_for("worker stops")
        worker.process.terminate()
    assert worker.wait() in (0, 1)
    assert time.monotonic() - began < _GRACE
    assert form == "short" or time.monotonic() - began > SOFT_SHUTDOWN - 2
    back = stand.job(long)
    assert (back.state, back.attempts, back.worker) == (QUEUED, 0, None)
    stand.worker()
    assert stand.wait_state(queued, SUCCEEDED).attempts == 1 or stand.job(long).state == RUNNING
    taken = stand.wait_state(long, RUNNING)
    assert (taken.attempts, taken.token) == (1, 2)


def test_everything_is_told_to_stop_and_goes_on(make_stand: MakeStand) -> None:
    """Gateway, workers and beat end and Redis is killed; started again, they go on."""
    stand = make_stand(job_lease=15)
    stand.beat()
    stand.worker()
    gateway = stand.gateway()
    posting = Posting(gateway.url, pause=0.0)
    posting.start()
    try:
        wait(lambda: len(posting.said.accepted) > 20)
        slow = stand.add_jobs(range(10), 0.3)
        for one in stand.running:
            one.process.terminate()
        codes = [one.wait() for one in stand.running]
    finally:
        said = posting.stop()
    assert codes == [0] * len(codes)
    assert set(said.statuses()) <= {503}
    stand.redis.kill()
    stand.redis.start()
    left = evidence.open_jobs(stand)
    stand.beat()
    stand.worker()
    evidence.wait_ended(stand, PATIENCE)
    wanted = said.accepted | dict(zip(slow, range(10), strict=True))
    # Accepted, and the gateway ended before its answer was out: done all the same.
    jobs = evidence.all_jobs(stand)
    assert set(wanted) <= set(jobs)
    assert len(jobs) - len(wanted) <= said.broken
    assert {job.state for job in jobs.values()} == {SUCCEEDED}
    assert {job.attempts for job in jobs.values()} == {1}
    assert evidence.records_anywhere(stand) == dict.fromkeys(jobs, 1)
    assert left, "everything had been done before it was told to stop"


def crew_is_at_work(stand: ChaosStand) -> bool:
    """Whether jobs are under way."""
    return any(job.state == RUNNING for job in evidence.all_jobs(stand).values())
