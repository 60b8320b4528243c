"""The follower: first what is remembered, then what MLflow says, whatever happens to it."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from services.core.errors import RegistryUnavailableError
from services.core.metrics import Metrics
from services.registry.catalogue import RegisteredModel, Snapshot
from services.registry.follow import Follower
from tests.support.patience import AT_ONCE, PATIENCE

OLD = Snapshot({"old": RegisteredModel("old")}, stale=True)
NEW = Snapshot({"new": RegisteredModel("new")})


class Source:
    """A registry that can be taken away."""

    def __init__(self) -> None:
        self.up = True
        self.listens = True
        self.looks = 0
        self.settled = 0
        self.unsettled = self.breaks = False
        self.memory: Snapshot | None = None
        self.hold = threading.Event()
        self.hold.set()

    def snapshot(self, *, settle: bool = True) -> Snapshot:
        assert not settle, "what serves does not wait for writing"
        self.looks += 1
        self.hold.wait(PATIENCE)
        if not self.up:
            raise RegistryUnavailableError("MLflow does not answer.")
        return NEW

    def settle(self) -> bool:
        self.settled += 1
        if self.breaks:
            raise ValueError("no")
        return self.settled == 1 and self.unsettled

    def remembered(self) -> Snapshot | None:
        return self.memory

    def reachable(self) -> bool:
        return self.listens


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def seen() -> list[Snapshot]:
    return []


Start = Callable[..., Follower]


@pytest.fixture
def start(source: Source, seen: list[Snapshot]) -> Iterator[Start]:
    followers = []

    def make(
        poll: float = 60.0,
        metrics: Metrics | None = None,
        hand_on: Callable[[Snapshot], None] = seen.append,
    ) -> Follower:
        follower = Follower(source, hand_on, metrics or Metrics(), poll)
        followers.append(follower)
        follower.start()
        return follower

    yield make
    source.hold.set()
    for follower in followers:
        follower.close()


def until(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_first_what_is_remembered_then_what_mlflow_says(
    source: Source, seen: list[Snapshot], start: Start
) -> None:
    source.memory = OLD
    source.hold.clear()
    start()
    until(lambda: seen == [OLD])
    source.hold.set()
    until(lambda: seen == [OLD, NEW])


def test_nothing_remembered_and_nobody_there(
    source: Source, seen: list[Snapshot], start: Start
) -> None:
    source.up = False
    metrics = Metrics()
    follower = start(metrics=metrics)
    until(lambda: len(seen) == 1)
    assert seen[0].stale and not seen[0].models
    assert follower.error == "MLflow does not answer."
    assert metrics.registry.get_sample_value("registry_up") == 0


def test_it_looks_again_and_hands_on_what_is_the_same(seen: list[Snapshot], start: Start) -> None:
    start(poll=0.2)
    until(lambda: len(seen) >= 3)
    assert set(map(id, seen)) == {id(NEW)}


def test_waking_looks_at_once_and_many_calls_are_one_look(
    source: Source, seen: list[Snapshot], start: Start
) -> None:
    follower = start()
    until(lambda: len(seen) == 1)
    began = time.monotonic()
    for _ in range(100):
        follower.wake()
    until(lambda: len(seen) >= 2)
    assert time.monotonic() - began < AT_ONCE
    time.sleep(0.5)
    assert source.looks <= 10


def test_a_call_during_a_look_makes_another(
    source: Source, seen: list[Snapshot], start: Start
) -> None:
    source.hold.clear()
    follower = start()
    until(lambda: source.looks == 1)
    follower.wake()
    source.hold.set()
    until(lambda: source.looks == 2)


def test_down_and_up_again_is_noticed_soon(
    source: Source, seen: list[Snapshot], start: Start
) -> None:
    metrics = Metrics()
    follower = start(metrics=metrics)
    until(lambda: bool(seen))
    source.up = source.listens = False
    follower.wake()
    until(lambda: follower.error is not None)
    count = len(seen)
    source.up = source.listens = True
    began = time.monotonic()
    until(lambda: len(seen) > count)
    # Not when it would have looked again anyhow.
    assert time.monotonic() - began < AT_ONCE
    assert follower.error is None
    assert metrics.registry.get_sample_value("registry_up") == 1


def test_while_it_is_away_it_is_asked_less_and_less(
    source: Source, seen: list[Snapshot], start: Start
) -> None:
    follower = start(poll=0.1)
    until(lambda: bool(seen))
    source.up = source.listens = False
    until(lambda: follower.error is not None)
    looks = source.looks
    time.sleep(1.0)
    assert source.looks <= looks + 5


@pytest.mark.slow
def test_one_line_for_each_change(
    source: Source,
    seen: list[Snapshot],
    start: Start,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    source.up = False
    start(poll=0.2)
    until(lambda: source.looks >= 4)
    source.up = True
    until(lambda: NEW in seen)
    until(lambda: len([one for one in seen if one is NEW]) >= 3)
    # Where a line goes depends on whether a test before this one configured logging.
    lines = capsys.readouterr().out + caplog.text
    assert lines.count("registry does not answer") == 1
    assert lines.count("registry answers again") == 1


def test_what_was_settled_is_looked_at_again(
    source: Source, seen: list[Snapshot], start: Start
) -> None:
    source.unsettled = True
    start()
    until(lambda: len(seen) == 2 and source.settled == 2)


def test_an_error_in_settling_does_not_end_it(source: Source, start: Start) -> None:
    source.breaks = True
    start(poll=0.2)
    until(lambda: source.looks >= 3)


def test_an_error_of_the_receiver_does_not_end_it(source: Source, start: Start) -> None:
    def broken(snapshot: Snapshot) -> None:
        raise ValueError("no")

    start(poll=0.2, hand_on=broken)
    until(lambda: source.looks >= 3)


def test_closing_does_not_wait_for_a_look_that_hangs(source: Source, start: Start) -> None:
    source.hold.clear()
    follower = start()
    until(lambda: source.looks == 1)
    began = time.monotonic()
    follower.close(timeout=0.2)
    assert time.monotonic() - began < AT_ONCE


def test_closing_one_that_was_never_started(source: Source) -> None:
    Follower(source, lambda snapshot: None, Metrics(), 1.0).close()
