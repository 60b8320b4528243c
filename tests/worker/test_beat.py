"""The beat: one of several acts, jobs are set right, and upkeep is done."""

import base64
import os
import signal
import time
from pathlib import Path

import orjson
import pytest

from services.jobs.names import UPKEEP
from services.ledger.database import workers
from services.ledger.database.job_rows import EXPIRED, SUCCEEDED
from tests.support.jobs_stand import Running, Stand, wait
from tests.support.patience import PATIENCE
from tests.worker.test_giving_up import begun

LEADS = "this beat leads"


def sent(stand: Stand, task: str) -> int:
    """Count the messages about a task of upkeep that nobody has taken."""
    with stand.client() as client:
        found = [orjson.loads(message) for message in client.lrange(UPKEEP, 0, -1)]
    return sum(one["headers"]["task"] == f"slipway.upkeep.{task}" for one in found)


def leaders(*beats: Running) -> list[Running]:
    return [beat for beat in beats if LEADS in beat.said]


def test_one_of_two_acts_and_the_other_follows_it(stand: Stand) -> None:
    first, second = stand.beat(), stand.beat()
    wait(lambda: len(leaders(first, second)) == 1 and sent(stand, "deliver") > 0)
    already, since = sent(stand, "deliver"), time.monotonic()
    time.sleep(6)
    # One sends one every two seconds, two would send twice as many.
    found = sent(stand, "deliver")
    assert found <= already + (time.monotonic() - since) / 2 + 1.5
    assert len(leaders(first, second)) == 1
    assert len(stand.present("beat")) == 2
    (leader,) = leaders(first, second)
    other = second if leader is first else first
    since = time.monotonic()
    leader.process.terminate()
    assert leader.wait() == 0
    assert time.monotonic() - since < PATIENCE / 2
    other.wait_for(LEADS)
    before = sent(stand, "deliver")
    wait(lambda: sent(stand, "deliver") > before)


@pytest.mark.slow
def test_another_follows_a_beat_that_was_killed(stand: Stand) -> None:
    first = stand.beat()
    first.wait_for(LEADS)
    second = stand.beat()
    first.kill()
    assert LEADS not in second.said
    second.wait_for(LEADS)


@pytest.mark.slow
def test_jobs_are_set_right(stand: Stand, tmp_path: Path) -> None:
    """A worker that is killed, a message that was never sent, a job that is too late."""
    stand.beat()
    late = stand.add({"do": "echo"}, expires=1)
    silent = stand.add({"do": "echo"}, created=1)
    mark = tmp_path / "mark"
    worker = stand.worker()
    lost = stand.submit({"do": "sleep", "seconds": 1, "mark": str(mark)})
    os.kill(begun(stand, mark), signal.SIGKILL)
    assert stand.ended(late).state == EXPIRED
    assert stand.ended(silent).state == SUCCEEDED
    job = stand.ended(lost)
    assert (job.state, job.attempts) == (SUCCEEDED, 2)
    assert worker.process.poll() is None


def test_upkeep_looks_at_everything(stand: Stand) -> None:
    secret = "whsec_" + base64.b64encode(b"0" * 32).decode()
    stand.start("services.worker", UPKEEP, webhook_secret=secret).wait_for("ready.")
    stand.beat()

    def checks() -> dict[str, workers.Check]:
        with stand.database.reading() as connection:
            return {one.name: one for one in workers.all_checks(connection)}

    wait(lambda: len(checks()) == 3)
    found = checks()
    assert (found["redis"].status, found["database"].status) == ("healthy", "healthy")
    # Of the four queues only this one has a worker here.
    assert found["workers"].status == "unavailable"
    assert found["workers"].detail == "No worker serves interactive, batch, training."
    assert len(stand.present(UPKEEP)) == 1
    wait(lambda: sent(stand, "deliver") == sent(stand, "sweep") == 0)
