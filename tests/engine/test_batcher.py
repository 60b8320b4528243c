"""The thread of a version: what it takes together, what waits, and how it ends."""

import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any

import numpy as np
import pytest

from services.core.errors import DeadlineExceededError, ModelUnavailableError
from services.engine.batcher import Batcher
from tests.support.patience import PATIENCE

FOREVER = float("inf")


class Recorder:
    """Runs batches and remembers them; while `gate` is shut it waits."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.reached = threading.Semaphore(0)

    def __call__(self, batch: Sequence[Any], rows: int) -> list[Any]:
        self.batches.append([one for one in batch if isinstance(one, int)])
        self.reached.release()
        assert self.gate.wait(PATIENCE)
        return list(batch)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def batcher(recorder: Recorder) -> Iterator[Batcher]:
    made = Batcher("test", recorder, 8)
    yield made
    recorder.gate.set()
    made.close()
    assert made.join(PATIENCE)


def occupy(batcher: Batcher, recorder: Recorder) -> None:
    recorder.gate.clear()
    batcher.submit(0, 1, FOREVER)
    assert recorder.reached.acquire(timeout=PATIENCE)


def test_what_waits_runs_together_in_order(batcher: Batcher, recorder: Recorder) -> None:
    occupy(batcher, recorder)
    jobs = [batcher.submit(number, 1, FOREVER) for number in range(1, 12)]
    recorder.gate.set()
    assert [job.result(PATIENCE).value for job in jobs] == list(range(1, 12))
    assert recorder.batches == [[0], list(range(1, 9)), [9, 10, 11]]


def test_rows_count_and_a_large_payload_runs_alone(batcher: Batcher, recorder: Recorder) -> None:
    occupy(batcher, recorder)
    jobs = [batcher.submit(n, rows, FOREVER) for n, rows in ((1, 5), (2, 3), (3, 50), (4, 1))]
    recorder.gate.set()
    for job in jobs:
        job.result(PATIENCE)
    assert recorder.batches == [[0], [1, 2], [3], [4]]


def test_other_work_runs_alone_and_in_its_turn(batcher: Batcher, recorder: Recorder) -> None:
    occupy(batcher, recorder)
    first = batcher.submit(1, 1, FOREVER)
    seen = batcher.call(lambda: list(recorder.batches))
    last = batcher.submit(2, 1, FOREVER)
    recorder.gate.set()
    assert seen.result(PATIENCE).value == [[0], [1]]
    assert (first.result(PATIENCE).value, last.result(PATIENCE).value) == (1, 2)


def test_who_has_gone_or_is_too_late_is_left_out(batcher: Batcher, recorder: Recorder) -> None:
    occupy(batcher, recorder)
    gone = batcher.submit(1, 1, FOREVER)
    late = batcher.submit(2, 1, time.monotonic() + 0.01)
    fine = batcher.submit(3, 1, FOREVER)
    assert gone.cancel()
    time.sleep(0.02)
    recorder.gate.set()
    assert fine.result(PATIENCE).value == 3
    with pytest.raises(DeadlineExceededError):
        late.result(PATIENCE)
    assert recorder.batches == [[0], [3]]


def test_a_cancelled_payload_leaves_memory_at_once(batcher: Batcher, recorder: Recorder) -> None:
    occupy(batcher, recorder)
    payload = np.ones(3)
    there = weakref.ref(payload)
    job = batcher.submit(payload, 1, FOREVER)
    del payload
    assert there() is not None
    assert job.cancel()
    assert there() is None


def test_a_batch_that_ran_leaves_memory_before_the_next_comes(batcher: Batcher) -> None:
    payload = np.ones(3)
    there = weakref.ref(payload)
    assert batcher.submit(payload, 1, FOREVER).result(PATIENCE) is not None
    del payload
    until = time.monotonic() + PATIENCE
    while there() is not None:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_lone_payload_waits_for_nobody(batcher: Batcher, recorder: Recorder) -> None:
    occupy(batcher, recorder)
    jobs = [batcher.submit(number, 1, FOREVER) for number in (1, 2)]
    recorder.gate.set()
    for job in jobs:
        job.result(PATIENCE)
    batcher.submit(3, 1, FOREVER).result(PATIENCE)
    assert recorder.batches == [[0], [1, 2], [3]]


def test_closing_cancels_what_waits(batcher: Batcher, recorder: Recorder) -> None:
    occupy(batcher, recorder)
    waiting = batcher.submit(1, 1, FOREVER)
    batcher.close()
    with pytest.raises(CancelledError):
        waiting.result(PATIENCE)
    with pytest.raises(ModelUnavailableError):
        batcher.submit(2, 1, FOREVER)
    assert not batcher.join(0.01)
    recorder.gate.set()
    assert batcher.join(PATIENCE)
