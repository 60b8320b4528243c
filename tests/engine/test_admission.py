"""Admission: how many may wait, when a place comes back, and what a full line answers."""

import threading
import time
from concurrent.futures import Future
from functools import partial

import pytest

from services.core.errors import OverloadedError
from services.engine.admission import Admission, Ticket
from tests.support.patience import PATIENCE


def enter(admission: Admission, timeout: float = 30) -> Ticket:
    ticket = admission.enter(timeout)
    assert ticket is not None
    return ticket


def test_one_runs_and_two_wait() -> None:
    admission = Admission(1, 2)
    tickets = [enter(admission) for _ in range(3)]
    with pytest.raises(OverloadedError) as caught:
        admission.enter(30)
    assert caught.value.retry_after == 1
    tickets[0].let_go()
    enter(admission).let_go()
    for ticket in tickets[1:]:
        ticket.let_go()
    assert admission.taken() == 0
    assert admission.wait_idle(0)


def test_a_batch_is_counted_by_its_rows() -> None:
    admission = Admission(10, 1)  # one batch of ten runs, one waits
    first, second = enter(admission), enter(admission)
    admission.weigh(first, 4)
    admission.weigh(second, 500)  # runs alone, and counts as one full batch
    assert admission.taken() == 14
    others = [enter(admission) for _ in range(6)]
    with pytest.raises(OverloadedError):
        admission.enter(30)
    for ticket in (first, second, *others):
        ticket.let_go()
    assert admission.taken() == 0


def test_a_place_is_held_until_the_last_holder_lets_go() -> None:
    admission = Admission(1, 0)
    ticket = enter(admission)
    work: Future[None] = Future()
    ticket.held_by(work)
    ticket.let_go()  # the caller has gone, the work has not
    assert admission.taken() == 1
    assert not admission.wait_idle(0.01)
    work.set_result(None)
    assert admission.wait_idle(0)


def test_the_advice_grows_with_the_line() -> None:
    admission = Admission(1, 2)
    admission.learn(0.4)
    for _ in range(3):
        enter(admission)
    with pytest.raises(OverloadedError) as caught:
        admission.enter(30)
    assert caught.value.retry_after == 2  # three times 0.4 s


def test_work_that_would_come_too_late_is_not_let_in() -> None:
    admission = Admission(1, 2)
    admission.learn(0.1)
    enter(admission, 0.05)  # an empty line always lets one in: the average may be stale
    for timeout in (0.05, 0.15):  # its own run counts as well
        with pytest.raises(OverloadedError):
            admission.enter(timeout)
    enter(admission, 10)


def test_a_retired_version_lets_nobody_in_and_says_once_when_it_is_empty() -> None:
    admission = Admission(1, 2)
    left: list[int] = []
    ticket = enter(admission)
    assert not admission.retire(lambda: left.append(0), only_if_idle=True)
    assert admission.retire(lambda: left.append(1))
    assert not admission.retire(lambda: left.append(2))
    assert admission.enter(30) is None
    assert not left
    ticket.let_go()
    assert left == [1]


def test_an_idle_version_is_empty_at_once() -> None:
    left: list[int] = []
    assert Admission(1, 2).retire(lambda: left.append(1), only_if_idle=True)
    assert left == [1]


def test_nobody_is_in_when_a_version_says_it_is_empty() -> None:
    """Threads enter and leave while it is retired: `left` comes once, after the last of them."""
    for _ in range(50):
        admission = Admission(1000, 2)
        inside = [0]
        seen: list[int] = []
        lock = threading.Lock()

        def use(
            admission: Admission = admission,
            inside: list[int] = inside,
            lock: threading.Lock = lock,
        ) -> None:
            while (ticket := admission.enter(30)) is not None:
                with lock:
                    inside[0] += 1
                with lock:
                    inside[0] -= 1
                ticket.let_go()

        threads = [threading.Thread(target=use) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.001)
        admission.retire(partial(_note, seen, inside))
        for thread in threads:
            thread.join(PATIENCE)
        assert seen == [0]


def _note(seen: list[int], inside: list[int]) -> None:
    seen.append(inside[0])
