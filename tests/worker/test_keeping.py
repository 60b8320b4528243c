"""What a handler sees: progress, leases, and the ways in which it is told to stop."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from services.core.ids import new_id
from services.core.settings import Settings
from services.ledger.database import job_adding, jobs
from services.ledger.database.job_rows import CANCELED, QUEUED, SUCCEEDED, Job, NewJob
from services.worker import handlers
from services.worker.board import Board, Phase
from services.worker.child import Child
from services.worker.keeper import INTERRUPT
from services.worker.running import Runner
from services.worker.work import Canceled, Done, Interrupted, Reason, Work
from tests.conftest import MakeSettings
from tests.support.jobs_stand import wait
from tests.support.patience import AT_ONCE, PATIENCE

TASK = "dance"


class Mortal(Child):
    """A child that only notes that it would end itself."""

    died: threading.Event

    def die(self) -> None:
        self.died.set()


class Stage:
    """A runner in this very process, in whose main thread handlers of the tests' own run."""

    def __init__(self, settings: Settings) -> None:
        self.child = Mortal(settings, "here")
        self.child.died = threading.Event()
        self.board = Board(1)
        self.runner = Runner(self.child, self.board)

    def add(self) -> str:
        new = NewJob(new_id(), "batch", TASK, "x", "0" * 64, {}, int(time.time() * 1e6))
        with self.child.database.begin() as connection:
            return job_adding.add(connection, new)[0].id

    def job(self, id: str) -> Job:
        with self.child.database.reading() as connection:
            found = jobs.get(connection, id)
        assert found is not None
        return found

    def play(self, handler: Callable[[Work], Done]) -> Job:
        """Do a job by a handler; return it as it is afterwards."""
        _DANCE.dance = handler
        id = self.add()
        self.runner.run(id)
        return self.job(id)

    def soon(self, act: Callable[[], object], after: float = 0.1) -> None:
        threading.Timer(after, act).start()

    def cancel(self, id: str) -> None:
        with self.child.database.begin() as connection:
            jobs.cancel(connection, id, 1)


_DANCE: Any = ModuleType("dance")


@pytest.fixture
def stage(make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setitem(sys.modules, "services.worker.handlers.dance", _DANCE)
    monkeypatch.setattr(handlers, "HANDLERS", {TASK: ("dance", "dance")})
    former = signal.getsignal(INTERRUPT)
    made = Stage(make_settings(job_lease=3))
    yield made
    signal.signal(INTERRUPT, former)
    made.child.close()


def test_progress_is_stored_at_once_and_the_last_value_wins(stage: Stage) -> None:
    def handler(work: Work) -> Done:
        for done in range(200):
            work.progress({"done": done})
        since = time.monotonic()
        wait(lambda: stage.job(work.job.id).progress == {"done": 199})
        return Done({"seconds": time.monotonic() - since, "left": work.seconds_left})

    job = stage.play(handler)
    assert job.state == SUCCEEDED
    assert job.progress == {"done": 199}
    assert job.result["seconds"] < AT_ONCE
    assert 0 < job.result["left"] <= stage.child.settings.training_timeout


def test_a_cancel_reaches_the_handler_once(stage: Stage) -> None:
    """Its cleaning up is not disturbed, though nobody waits for that."""
    seen: list[Any] = []

    def handler(work: Work) -> Done:
        stage.soon(lambda: stage.cancel(work.job.id))
        try:
            while True:
                time.sleep(60)
        except Canceled as canceled:
            seen.append((canceled.reason, work.canceled))
            wait(lambda: stage.job(work.job.id).state == CANCELED)
            work.check()
            seen.append("tidy")
            raise

    assert stage.play(handler).state == CANCELED
    assert seen == [(Reason.CANCELED, True), "tidy"]
    assert not stage.child.died.is_set()


def test_check_raises_where_signals_are_not_heard(stage: Stage) -> None:
    def handler(work: Work) -> Done:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(signal, "pthread_kill", lambda *_: None)
            stage.soon(lambda: stage.cancel(work.job.id))
            wait(lambda: work.canceled)
            work.check()
        return Done("not reached")

    assert stage.play(handler).state == CANCELED


def test_work_that_does_not_listen_ends_with_its_process(stage: Stage) -> None:
    """But not before the job has ended, and what was begun was put in order."""
    told: list[str] = []

    def handler(work: Work) -> Done:
        work.keeper.on_abandon = lambda: told.append(stage.job(work.job.id).id)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(signal, "pthread_kill", lambda *_: None)
            stage.cancel(work.job.id)
            since = time.monotonic()
            assert stage.child.died.wait(PATIENCE)
            told.append("in time" if time.monotonic() - since < AT_ONCE else "late")
        return Done("too late")

    job = stage.play(handler)
    assert (job.state, job.result) == (CANCELED, None)
    assert told == [job.id, "in time"]


def test_a_lost_lease_interrupts_and_nothing_is_written(stage: Stage) -> None:
    def handler(work: Work) -> Done:
        with stage.child.database.begin() as connection:
            jobs.hand_back(connection, work.job.id, work.job.token)
        time.sleep(60)
        return Done("too late")

    job = stage.play(handler)
    assert (job.state, job.result, job.error) == (QUEUED, None, None)


def test_an_end_of_the_worker_hands_back(stage: Stage) -> None:
    def handler(work: Work) -> Done:
        stage.board.phase = Phase.HANDING_BACK
        time.sleep(60)
        return Done("too late")

    job = stage.play(handler)
    assert (job.state, job.attempts, job.published) == (QUEUED, 0, None)
    # And begins nothing any more.
    stage.runner.run(job.id)
    assert stage.job(job.id).state == QUEUED


def test_no_except_exception_keeps_an_interruption(stage: Stage) -> None:
    assert not issubclass(Interrupted, Exception)
    assert issubclass(Canceled, Interrupted)


def test_an_error_that_is_not_ours_says_nothing_of_itself(stage: Stage, tmp_path: Path) -> None:
    def handler(work: Work) -> Done:
        raise OSError(f"no such file: {tmp_path}")

    job = stage.play(handler)
    assert job.error is not None
    assert job.error["code"] == "internal_error"
    assert str(tmp_path) not in str(job.error)
