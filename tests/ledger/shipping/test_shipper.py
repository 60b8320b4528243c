"""The shipper with stages made up for it: threads, back-offs, locks and the status are real."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.core.errors import RegistryUnavailableError
from services.core.settings import Settings
from services.ledger.places import Places
from services.ledger.shipping import shipper as module
from services.ledger.shipping.backoff import Backoff
from services.ledger.shipping.shipper import Shipper
from tests.conftest import MakeSettings
from tests.support.patience import AT_ONCE, PATIENCE


@pytest.fixture
def said() -> Iterator[list[Any]]:
    """What is logged, as it comes."""
    with capture_logs() as entries:
        yield entries


class Made:
    """A stage that does what a test says, and counts how often it was asked."""

    def __init__(self, name: str, act: Callable[[int], bool] = lambda _: False) -> None:
        self.name = name
        self.asked: list[float] = []
        self.closed = False
        self.numbers: dict[str, Any] = {}
        self._act = act

    def step(self) -> bool:
        self.asked.append(time.monotonic())
        return self._act(len(self.asked))

    def status(self) -> dict[str, Any]:
        return {**self.numbers, f"{self.name}_asked": len(self.asked)}

    def close(self) -> None:
        self.closed = True


@contextmanager
def shipping(settings: Settings, *stages: Made, idle: float = 0.05) -> Iterator[threading.Thread]:
    """Run a shipper for as long as the block lasts."""
    stop = threading.Event()
    found = [(stage, idle) for stage in stages]
    shipper = Shipper(settings, lambda *_: found, standby_seconds=0.1)
    thread = threading.Thread(target=shipper.run, args=(stop,))
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def until(true: Callable[[], Any], seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def status(settings: Settings) -> dict[str, Any]:
    place = Places(settings.data_dir).status
    until(place.exists)
    found: dict[str, Any] = json.loads(place.read_bytes())
    return found


def failing(*, until_asked: int, error: Exception) -> Callable[[int], bool]:
    def act(asked: int) -> bool:
        if asked < until_asked:
            raise error
        return False

    return act


def test_the_wait_doubles_up_to_a_limit_and_begins_anew() -> None:
    for _ in range(50):
        backoff = Backoff(first=1.0, longest=60.0)
        waits = [backoff.next() for _ in range(10)]
        full = [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
        assert all(most / 2 <= wait <= most for wait, most in zip(waits, full, strict=True))
        assert len(set(waits)) > 1
        backoff.reset()
        assert backoff.next() <= 1.0


def test_a_stage_that_has_more_comes_again_at_once(make_settings: MakeSettings) -> None:
    busy, idle = Made("busy", lambda asked: asked < 500), Made("idle")
    with shipping(make_settings(), busy, idle, idle=1000.0):
        until(lambda: len(busy.asked) == 500)
        until(lambda: idle.asked)
        time.sleep(0.2)
        assert (len(busy.asked), len(idle.asked)) == (500, 1)
    assert busy.closed and idle.closed


def test_looking_in_vain_at_great_cost_is_done_less_often(make_settings: MakeSettings) -> None:
    def search(_: int) -> bool:
        end = time.thread_time() + 0.02
        while time.thread_time() < end:
            pass
        return False

    costly, cheap = Made("costly", search), Made("cheap")
    with shipping(make_settings(), costly, cheap, idle=0.1):
        until(lambda: len(costly.asked) == 5)
    rests = [after - before for before, after in pairwise(costly.asked)]
    # Four times the usual rest, and no longer: it may have to do with how fast others take it.
    assert 0.4 <= min(rests) < 4
    assert len(cheap.asked) > len(costly.asked)


def test_one_that_fails_is_asked_again_later_and_stops_no_other(
    make_settings: MakeSettings, said: list[Any]
) -> None:
    settings = make_settings()
    down = Made("down", failing(until_asked=3, error=RegistryUnavailableError("It is away.")))
    other = Made("other")
    with shipping(settings, down, other):
        until(lambda: len(down.asked) == 2)
        until(lambda: "down" in status(settings)["last_error"])
        failure = status(settings)["last_error"]["down"]
        assert failure["message"] == "It is away."
        assert failure["since"] == pytest.approx(time.time(), abs=PATIENCE)
        until(lambda: len(down.asked) > 3)
        until(lambda: status(settings)["last_error"] == {})
    first, second, third = down.asked[:3]
    assert 0.5 <= second - first <= AT_ONCE and 1.0 <= third - second <= AT_ONCE
    assert sum(first < at < third for at in other.asked) > 3
    assert [entry["error"] for entry in said if "error" in entry] == ["It is away."]
    assert [entry["stage"] for entry in said if entry["event"] == "shipping goes on"] == ["down"]


def test_the_same_cause_is_told_once_and_another_again(
    make_settings: MakeSettings, said: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Backoff.__init__, "__defaults__", (0.01, 0.02))

    def act(asked: int) -> bool:
        # Like a client's message that names the object which failed.
        raise ConnectionError(f"<Connection object at {hex(id(act) + asked)}> {asked // 10}")

    with shipping(make_settings(), stage := Made("down", act)):
        until(lambda: len(stage.asked) > 20)
    assert [entry["error"] for entry in said if "error" in entry][:3] == [
        f"ConnectionError: <Connection object at 0x…> {number}" for number in range(3)
    ]


def test_a_bug_in_a_stage_leaves_its_traceback_and_the_shipper_alive(
    make_settings: MakeSettings, said: list[Any]
) -> None:
    settings = make_settings()
    broken = Made("broken", failing(until_asked=2, error=ZeroDivisionError("by zero")))
    with shipping(settings, broken):
        until(lambda: len(broken.asked) > 2)
    [entry] = [entry for entry in said if entry["event"] == "shipping waits"]
    assert entry["error"] == "ZeroDivisionError: by zero"
    assert isinstance(entry["exc_info"], ZeroDivisionError)


def test_one_that_hangs_holds_up_neither_the_others_nor_the_end(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_STOP_SECONDS", 0.3)
    settings, gate = make_settings(), threading.Event()
    hangs, other = Made("hangs", lambda _: gate.wait(PATIENCE)), Made("other")
    try:
        with shipping(settings, hangs, other):
            until(lambda: len(other.asked) > 10)
            until(lambda: status(settings).get("other_asked", 0) > 10)
            assert len(hangs.asked) == 1
            began = time.monotonic()
        assert time.monotonic() - began < AT_ONCE
        assert other.closed and not hangs.closed
        # Its step may yet do something: nobody else ships before it has ended.
        with shipping(settings, waiting := Made("waiting")):
            time.sleep(0.5)
            assert not waiting.asked
    finally:
        gate.set()
    until(lambda: hangs.closed)


def test_a_second_one_stands_by_until_the_first_has_gone(
    make_settings: MakeSettings, said: list[Any]
) -> None:
    settings = make_settings()
    first, second = Made("first"), Made("second")
    with shipping(settings, first):
        until(lambda: first.asked)
        waiting = shipping(settings, second)
        waiting.__enter__()
        time.sleep(0.5)
        assert not second.asked
    until(lambda: second.asked)
    asked = len(first.asked)
    waiting.__exit__(None, None, None)
    assert len(first.asked) == asked
    assert sum("stands by" in entry.get("reason", "") for entry in said) == 1


def test_the_status_is_whole_from_the_beginning(make_settings: MakeSettings) -> None:
    settings = make_settings()
    stage = Made("stage")
    stage.numbers = {"pending": 7, "oldest_seconds": float("nan")}
    with shipping(settings, stage):
        until(lambda: status(settings)["pending"] == 7)
    found = status(settings)
    assert found["oldest_seconds"] is None, "no reader of JSON knows NaN"
    assert found["time"] == pytest.approx(time.time(), abs=PATIENCE)
    assert {
        "pid", "time", "mlflow", "pending", "pending_bytes", "oldest_seconds", "unindexed_bytes",
        "traces_sent", "traces_thinned", "traces_refused", "trace_share", "trace_backlog",
        "rows_stored", "parts_stored", "feedback_pending", "feedback_attached", "dead_letters",
        "damaged_bytes", "last_error",
    } <= set(found)  # fmt: skip


def test_mlflow_counts_as_down_while_a_stage_says_so(make_settings: MakeSettings) -> None:
    settings = make_settings()
    watch = Made("watch")
    watch.numbers = {"mlflow": "up"}
    down = Made("down", failing(until_asked=3, error=RegistryUnavailableError("It is away.")))
    with shipping(settings, watch, down):
        until(lambda: status(settings)["mlflow"] == "down")
        until(lambda: status(settings)["mlflow"] == "up")


def test_when_mlflow_comes_back_nobody_waits_any_longer(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Backoff.__init__, "__defaults__", (1000.0, 1000.0))
    settings = make_settings()
    watch = Made("watch")
    watch.numbers = {"mlflow": "down"}
    down = Made("down", failing(until_asked=2, error=RegistryUnavailableError("It is away.")))
    with shipping(settings, watch, down):
        until(lambda: status(settings)["mlflow"] == "down")
        assert len(down.asked) == 1
        watch.numbers = {"mlflow": "up"}
        until(lambda: len(down.asked) >= 2)


def test_without_its_database_it_waits_and_says_so(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    settings = make_settings(data_dir=tmp_path)
    database = Places(tmp_path).database
    # A folder where the file should be.
    database.mkdir(parents=True)
    stage = Made("stage")
    with shipping(settings, stage):
        until(lambda: "database" in status(settings)["last_error"])
        assert not stage.asked
        database.rmdir()
        until(lambda: stage.asked)
        until(lambda: status(settings)["last_error"] == {})


def test_a_folder_that_cannot_be_written_is_waited_for(
    make_settings: MakeSettings, tmp_path: Path, said: list[Any]
) -> None:
    (tmp_path / "ledger").write_text("in the way")
    stage = Made("stage")
    with shipping(make_settings(data_dir=tmp_path), stage):
        until(lambda: any("cannot be written" in e.get("reason", "") for e in said))
        (tmp_path / "ledger").unlink()
        until(lambda: stage.asked)
