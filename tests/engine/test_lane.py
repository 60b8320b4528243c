"""A lane: how many may wait, when a place comes back, and what a full line answers."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError

import pytest

from services.core.errors import OverloadedError
from services.engine.lane import Lane

FOREVER = float("inf")


@pytest.fixture
def lane() -> Iterator[Lane]:
    made = Lane("cpu", 2)
    yield made
    made.close()
    assert made.join(5)


def test_one_runs_and_two_wait(lane: Lane) -> None:
    tickets = [lane.admit(30) for _ in range(3)]
    with pytest.raises(OverloadedError) as caught:
        lane.admit(30)
    assert caught.value.retry_after == 1
    tickets[0].let_go()
    lane.admit(30).let_go()
    for ticket in tickets[1:]:
        ticket.let_go()
    assert lane.taken() == 0
    assert lane.wait_idle(0)


def test_a_place_is_held_until_the_work_has_ended(lane: Lane) -> None:
    started, release = threading.Event(), threading.Event()

    def run() -> None:
        started.set()
        release.wait(5)

    ticket = lane.admit(30)
    job = ticket.held_by(lane.run(run, FOREVER))
    assert started.wait(5)
    job.cancel()
    ticket.let_go()  # the caller has gone, the network has not
    assert lane.taken() == 1
    assert not lane.wait_idle(0.01)
    release.set()
    assert lane.wait_idle(5)
    assert lane.taken() == 0


def test_a_place_comes_back_at_once_when_the_work_had_not_begun(lane: Lane) -> None:
    started, release = threading.Event(), threading.Event()

    def run() -> None:
        started.set()
        release.wait(5)

    first = lane.admit(30)
    first.held_by(lane.run(run, FOREVER))
    assert started.wait(5)
    second = lane.admit(30)
    waiting = second.held_by(lane.run(lambda: None, FOREVER))
    waiting.cancel()
    second.let_go()
    assert lane.taken() == 1
    with pytest.raises(CancelledError):
        waiting.result(1)
    release.set()
    first.let_go()
    assert lane.wait_idle(5)


def test_places_are_given_back_exactly_once_whatever_happens(lane: Lane) -> None:
    """Work that ends, fails, is cancelled early or late: in the end all places are free."""

    def fail() -> None:
        raise ValueError

    for number in range(200):
        ticket = lane.admit(30)
        job = ticket.held_by(lane.run(fail if number % 3 else time.monotonic, FOREVER))
        if number % 2:
            job.cancel()
        ticket.let_go()
        assert lane.wait_idle(5)
    assert lane.taken() == 0


def test_the_advice_grows_with_the_line(lane: Lane) -> None:
    lane.run(lambda: time.sleep(0.4), FOREVER).result(5)
    tickets = [lane.admit(30) for _ in range(3)]
    with pytest.raises(OverloadedError) as caught:
        lane.admit(30)
    assert caught.value.retry_after == 2  # three times 0.4 s
    for ticket in tickets:
        ticket.let_go()


def test_work_that_would_come_too_late_is_not_let_in(lane: Lane) -> None:
    lane.run(lambda: time.sleep(0.1), FOREVER).result(5)
    first = lane.admit(0.05)  # an empty line always lets one in: the average may be stale
    for timeout in (0.05, 0.15):  # its own run counts as well
        with pytest.raises(OverloadedError):
            lane.admit(timeout)
    lane.admit(10).let_go()
    first.let_go()


def test_warming_says_nothing_about_later_runs(lane: Lane) -> None:
    lane.warm(lambda: time.sleep(0.1))
    first = lane.admit(30)
    lane.admit(0.01).let_go()
    first.let_go()
