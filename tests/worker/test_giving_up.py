"""Work that is given up: canceled, too long, lost to another, or ended with its process."""

import os
import signal
import time
from pathlib import Path

import pytest

from services.ledger.database import job_upkeep, jobs
from services.ledger.database.job_rows import (
    CANCELED,
    DEAD,
    JOB_FAILED,
    QUEUED,
    RUNNING,
    SUCCEEDED,
)
from tests.support.jobs_stand import Running, Stand, wait
from tests.support.patience import AT_ONCE


def begun(stand: Stand, mark: Path, count: int = 1) -> int:
    """Wait until the model has begun; return the process that it runs in."""
    wait(lambda: mark.exists() and len(mark.read_text().split()) >= count)
    return int(mark.read_text().split()[-1])


def cancel(stand: Stand, id: str) -> float:
    """Cancel a job; return the seconds until it has ended."""
    with stand.database.begin() as connection:
        jobs.cancel(connection, id, 1)
    since = time.monotonic()
    stand.ended(id)
    return time.monotonic() - since


@pytest.mark.parametrize("do", ["sleep", "hang"])
def test_running_work_is_canceled_within_two_seconds(
    shared: Stand, worker: Running, tmp_path: Path, do: str
) -> None:
    """One sleeps on the event loop, one never gives it back: neither listens to anybody."""
    mark = tmp_path / "mark"
    id = shared.submit({"do": do, "seconds": 100, "mark": str(mark)})
    process = begun(shared, mark)
    seconds = cancel(shared, id)
    assert shared.job(id).state == CANCELED
    # The promise is two; a machine that is busy with other tests gets a little more.
    assert seconds < AT_ONCE
    wait(lambda: process not in worker.children())
    assert shared.ended(shared.submit({"do": "echo"})).state == SUCCEEDED


def test_work_that_takes_too_long_fails(shared: Stand, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    id = shared.submit({"do": "hang", "mark": str(mark)})
    job = shared.ended(id)
    assert job.error is not None
    assert (job.state, job.error["code"]) == (JOB_FAILED, "deadline_exceeded")
    assert len(mark.read_text().split()) == 1
    assert shared.ended(shared.submit({"do": "echo"})).state == SUCCEEDED


def test_a_lease_is_kept_for_as_long_as_the_work_takes(shared: Stand, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    id = shared.submit({"do": "sleep", "seconds": 2.5, "mark": str(mark)})
    job = shared.wait_state(id, RUNNING)
    first = job.leased_until
    begun(shared, mark)
    wait(lambda: (shared.job(id).leased_until or 0) != first)
    with shared.database.begin() as connection:
        assert not job_upkeep.due(connection, int(time.time() * 1e6))
    assert shared.ended(id).state == SUCCEEDED


def test_a_lease_that_was_lost_ends_the_work(
    shared: Stand, worker: Running, tmp_path: Path
) -> None:
    """Somebody else has the job by now: what is done here is thrown away."""
    before = shared.totals().get("lease_losses", 0)
    mark = tmp_path / "mark"
    id = shared.submit({"do": "sleep", "seconds": 100, "mark": str(mark)})
    process = begun(shared, mark)
    held = shared.job(id)
    with shared.database.begin() as connection:
        assert jobs.hand_back(connection, id, held.token)
        (mine,) = jobs.take(connection, id, "another", 1, int((time.time() + 60) * 1e6))
    wait(lambda: process not in worker.children())
    wait(lambda: shared.totals().get("lease_losses", 0) == before + 1)
    assert shared.job(id) == mine
    with shared.database.begin() as connection:
        assert jobs.finish(connection, id, mine.token, CANCELED, 1)


def test_a_process_that_stood_still_writes_nothing_any_more(
    shared: Stand, worker: Running, tmp_path: Path
) -> None:
    before = shared.totals().get("lease_losses", 0)
    mark = tmp_path / "mark"
    id = shared.submit({"do": "sleep", "seconds": 1, "mark": str(mark)})
    process = begun(shared, mark)
    os.kill(process, signal.SIGSTOP)
    try:
        until = shared.job(id).leased_until or 0
        wait(lambda: time.time() * 1e6 > until)
        with shared.database.begin() as connection:
            assert job_upkeep.reconcile(connection, int(time.time() * 1e6)).requeued == 1
            (mine,) = jobs.take(connection, id, "another", 1, int((time.time() + 60) * 1e6))
    finally:
        os.kill(process, signal.SIGCONT)
    wait(lambda: shared.totals().get("lease_losses", 0) == before + 1)
    assert shared.job(id) == mine
    with shared.database.begin() as connection:
        assert jobs.finish(connection, id, mine.token, CANCELED, 1)
    assert shared.ended(shared.submit({"do": "echo"})).state == SUCCEEDED


def test_a_job_that_kills_its_process_is_not_run_again_by_celery(
    shared: Stand, worker: Running, tmp_path: Path
) -> None:
    """Only the reconciler gives it another attempt, and only so many."""
    mark = tmp_path / "mark"
    id = shared.submit({"do": "kill", "mark": str(mark)})
    for attempt in (1, 2, 3):
        begun(shared, mark, attempt)
        # Others go on meanwhile: a new process has taken the place of the one that died.
        assert shared.ended(shared.submit({"do": "echo"})).state == SUCCEEDED
        assert len(mark.read_text().split()) == attempt
        assert shared.job(id).state == RUNNING
        until = shared.job(id).leased_until or 0
        with shared.database.begin() as connection:
            job_upkeep.reconcile(connection, until + 1)
        if attempt < 3:
            assert shared.job(id).state == QUEUED
            shared.publish(id)
    assert shared.job(id).state == DEAD
    assert len(worker.children()) == 1


def test_of_several_taken_together_each_suspect_is_tried_alone(
    shared: Stand, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    for _ in range(4):
        shared.ended(shared.submit({"do": "echo"}))
    bad = shared.add({"do": "kill", "mark": str(mark)})
    good = [shared.add({"do": "echo"}) for _ in range(2)]
    shared.publish(bad)
    begun(shared, mark)
    wait(lambda: shared.job(bad).state == RUNNING)
    together = [id for id in good if shared.job(id).state == RUNNING]
    assert together
    with shared.database.begin() as connection:
        job_upkeep.reconcile(connection, (shared.job(bad).leased_until or 0) + 1)
    shared.publish(bad, *good)
    for id in good:
        assert shared.ended(id).state == SUCCEEDED
    assert {shared.job(id).attempts for id in together} == {2}
    assert shared.job(bad).state == RUNNING
    with shared.database.begin() as connection:
        assert jobs.finish(connection, bad, shared.job(bad).token, CANCELED, 1)
