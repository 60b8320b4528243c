"""Workers: jobs in order, taken back while they wait, and dropped when too late."""

import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import CancelledError
from functools import partial

import pytest

from services.core.errors import (
    DeadlineExceededError,
    InvalidInputError,
    ModelUnavailableError,
)
from services.engine.workers import Workers, WorkFailed
from tests.support.patience import PATIENCE


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers("test", 1)
    yield made
    made.close()
    assert made.join(PATIENCE)


@pytest.fixture
def busy(workers: Workers) -> Iterator[threading.Event]:
    """The only thread is busy until the event is set."""
    started, release = threading.Event(), threading.Event()

    def wait() -> None:
        started.set()
        release.wait(PATIENCE)

    workers.submit(wait)
    assert started.wait(PATIENCE)
    yield release
    release.set()


def test_a_job_says_how_long_it_waited_and_ran(workers: Workers) -> None:
    def work() -> int:
        time.sleep(0.02)
        return 7

    done = workers.submit(work).result(PATIENCE)
    assert done.value == 7
    assert 0 <= done.waited < 1
    assert 0.02 <= done.ran < 1


def test_order_and_urgency(workers: Workers, busy: threading.Event) -> None:
    seen: list[int] = []
    jobs = [workers.submit(partial(seen.append, number)) for number in (1, 2)]
    jobs.append(workers.submit(partial(seen.append, 0), urgent=True))
    busy.set()
    for job in jobs:
        job.result(PATIENCE)
    assert seen == [0, 1, 2]


def test_a_cancelled_job_leaves_the_line_and_its_memory(
    workers: Workers, busy: threading.Event
) -> None:
    class Payload:
        pass

    payload = Payload()
    gone = weakref.ref(payload)
    job = workers.submit(partial(id, payload))
    del payload
    assert workers.waiting() == 1
    assert job.cancel()
    assert workers.waiting() == 0
    del job
    assert gone() is None


def test_a_running_job_cannot_be_cancelled(workers: Workers) -> None:
    started, release = threading.Event(), threading.Event()

    def run() -> str:
        started.set()
        release.wait(PATIENCE)
        return "ended"

    job = workers.submit(run)
    assert started.wait(PATIENCE)
    assert not job.cancel()
    release.set()
    assert job.result(PATIENCE).value == "ended"


def test_a_job_past_its_deadline_never_starts(workers: Workers, busy: threading.Event) -> None:
    ran = threading.Event()
    job = workers.submit(ran.set, deadline=time.monotonic() + 0.01)
    time.sleep(0.02)
    busy.set()
    with pytest.raises(DeadlineExceededError):
        job.result(PATIENCE)
    assert not ran.is_set()


@pytest.mark.parametrize("raised", [ValueError, SystemExit, StopIteration, KeyboardInterrupt])
def test_whatever_a_job_raises_the_thread_lives_on(
    workers: Workers, raised: type[BaseException]
) -> None:
    def fail() -> None:
        raise raised("why")

    with pytest.raises(WorkFailed) as caught:
        workers.submit(fail).result(PATIENCE)
    assert isinstance(caught.value.__cause__, raised)
    assert workers.submit(lambda: 1).result(PATIENCE).value == 1


def test_our_own_errors_pass_as_they_are(workers: Workers) -> None:
    def refuse() -> None:
        raise InvalidInputError("no")

    with pytest.raises(InvalidInputError):
        workers.submit(refuse).result(PATIENCE)


def test_closing_cancels_what_waits_and_lets_the_rest_end(
    workers: Workers, busy: threading.Event
) -> None:
    waiting = workers.submit(lambda: 1)
    workers.close()
    with pytest.raises(CancelledError):
        waiting.result(PATIENCE)
    with pytest.raises(ModelUnavailableError):
        workers.submit(lambda: 1)
    assert not workers.join(0.01)
    busy.set()
    assert workers.join(PATIENCE)
