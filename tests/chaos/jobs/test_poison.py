"""Jobs that kill their process, workers that stand still, disks that are full."""

import signal
import time

import pytest

from services.jobs.payloads import unpack_output
from services.ledger.database.job_rows import DEAD, MOST_ATTEMPTS, RUNNING, SUCCEEDED
from tests.chaos.jobs import evidence
from tests.chaos.jobs.conftest import MakeStand
from tests.support.jobs_stand import wait, with_group
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.slow

_AROUND = 30


def test_a_poison_job_is_given_up_and_disturbs_nobody(make_stand: MakeStand) -> None:
    stand = make_stand()
    stand.beat()
    stand.worker("interactive", "--concurrency", "2")
    before = stand.add_jobs(range(_AROUND), 0.02)
    poison = stand.submit({"do": "kill"})
    after = stand.add_jobs(range(_AROUND, 2 * _AROUND), 0.02)
    dead = stand.wait_state(poison, DEAD, 90)
    assert dead.error is not None
    assert dead.error["code"] == "worker_lost"
    assert dead.attempts == MOST_ATTEMPTS
    evidence.wait_ended(stand, PATIENCE)
    others = [stand.job(id) for id in before + after]
    assert {job.state for job in others} == {SUCCEEDED}
    # Who was taken together with it was begun once more, alone; nobody was hit twice.
    assert {job.attempts for job in others} <= {1, 2}
    assert set(evidence.records_anywhere(stand)) == set(before + after)
    # And the queue goes on.
    assert stand.ended(stand.submit({"do": "echo"})).state == SUCCEEDED


def test_a_worker_that_stood_still_changes_nothing_any_more(make_stand: MakeStand) -> None:
    stand = make_stand()
    stand.beat()
    paused = stand.worker()
    id = stand.submit({"do": "sleep", "seconds": 2, "echo": 1})
    stand.wait_state(id, RUNNING)
    held = stand.job(id)
    time.sleep(0.5)
    stand.freeze(paused)
    stand.worker()
    done = stand.wait_state(id, SUCCEEDED)
    with_group(paused.process, signal.SIGCONT)
    # It comes to itself, and finds that the job is another's.
    wait(lambda: stand.totals().get("lease_losses", 0) == 1, PATIENCE, paused)
    assert stand.ended(stand.submit({"do": "echo"})).state == SUCCEEDED
    assert stand.job(id) == done
    assert (held.token, done.token, done.attempts) == (1, 2, 2)
    assert done.worker is None
    process = unpack_output(done.result["output"], stand.blobs)["process"]
    assert process not in paused.children()
    assert evidence.records_anywhere(stand)[id] == 1
    assert stand.totals()["jobs_succeeded_interactive"] == 2
