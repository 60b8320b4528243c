"""How a worker ends: what runs is finished or handed back, and nothing of it is lost."""

import os
import signal
import time
from pathlib import Path

import pytest

from services.ledger.database.job_rows import QUEUED, RUNNING, SUCCEEDED
from services.worker import alive
from tests.support.jobs_stand import Running, Stand, wait, with_group
from tests.support.patience import AT_ONCE, PATIENCE
from tests.worker.test_giving_up import begun


def test_an_idle_worker_ends_at_once_and_takes_its_traces_along(stand: Stand) -> None:
    worker = stand.worker("batch", "--concurrency", "2")
    wait(lambda: len(stand.present("batch")) == 1)
    assert stand.present("batch")[0].pid == worker.pid
    assert alive.check(stand.settings, "interactive") is False
    since = time.monotonic()
    worker.process.terminate()
    assert worker.wait() == 0
    # Celery's own soft shutdown would take the whole 25 seconds.
    assert time.monotonic() - since < 24
    assert stand.present("batch") == []


def test_what_runs_is_finished_first(stand: Stand, tmp_path: Path) -> None:
    """Also when the signal goes to the whole group, as a terminal and some supervisors send it."""
    worker = stand.worker()
    mark = tmp_path / "mark"
    id = stand.submit({"do": "sleep", "seconds": 2, "mark": str(mark)})
    begun(stand, mark)
    with_group(worker.process, signal.SIGTERM)
    assert worker.wait() == 0
    job = stand.job(id)
    assert (job.state, job.attempts) == (SUCCEEDED, 1)


def test_a_second_signal_hands_back_at_once(stand: Stand, tmp_path: Path) -> None:
    worker = stand.worker()
    mark = tmp_path / "mark"
    id = stand.submit({"do": "hang", "mark": str(mark)})
    begun(stand, mark)
    waiting = stand.submit({"do": "echo"})
    worker.process.terminate()
    worker.wait_for("worker stops")
    assert stand.job(id).state == RUNNING
    worker.process.terminate()
    worker.wait()
    job = stand.job(id)
    assert (job.state, job.attempts, job.published, job.worker) == (QUEUED, 0, None, None)
    assert stand.job(waiting).state == QUEUED
    # What was not begun is still in Redis, or the reconciler sends it again; here Redis has it.
    stand.worker()
    assert stand.ended(waiting).state == SUCCEEDED


@pytest.mark.slow
def test_what_does_not_end_within_the_grace_is_handed_back(stand: Stand, tmp_path: Path) -> None:
    worker = stand.worker()
    mark = tmp_path / "mark"
    id = stand.submit({"do": "hang", "mark": str(mark)})
    begun(stand, mark)
    since = time.monotonic()
    worker.process.terminate()
    worker.wait(PATIENCE)
    assert 24 < time.monotonic() - since < 25 + 2 * AT_ONCE
    assert (stand.job(id).state, stand.job(id).attempts) == (QUEUED, 0)


def test_a_worker_ends_while_redis_is_away(stand: Stand) -> None:
    worker = stand.worker("batch")
    stand.redis.kill()
    worker.wait_for("Connection refused")
    worker.process.terminate()
    assert worker.wait() == 0


def test_the_children_end_with_their_parent(stand: Stand) -> None:
    worker = stand.worker("batch")
    (child,) = worker.children()
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    wait(lambda: not Path(f"/proc/{child}/stat").exists() or _is_dead(child))


def _is_dead(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def test_a_worker_that_consumes_says_so_and_one_that_does_not_ends_itself(stand: Stand) -> None:
    """Its processes, its connection and its threads are all well: only nothing is consumed."""
    deaf = stand.folder / "deaf"
    worker: Running = stand.worker("batch", silence=6, deaf=deaf)
    wait(lambda: alive.check(stand.settings, "batch"))
    time.sleep(7)
    assert worker.process.poll() is None
    deaf.touch()
    assert worker.wait() == 1
    assert "consumes no more" in worker.said
    assert alive.check(stand.settings, "batch") is False


def test_a_worker_goes_on_when_redis_comes_back(stand: Stand) -> None:
    """Away for longer than the worker would stand silence: that is not its fault."""
    deaf = stand.folder / "deaf"
    worker = stand.worker(silence=6, deaf=deaf)
    stand.redis.kill()
    worker.wait_for("Connection refused")
    time.sleep(7)
    stand.redis.start()
    id = stand.submit({"do": "echo"})
    assert stand.ended(id).state == SUCCEEDED
    assert worker.process.poll() is None
