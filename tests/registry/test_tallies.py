"""Counting runs and finding the best of them by few questions, over any number of runs."""

import math
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from services.registry.tallies import PAGE, Best, Count

STEPS = 40


@dataclass
class Info:
    run_id: str


@dataclass
class Data:
    metrics: dict[str, float]
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Run:
    """What MLflow's client returns, as far as it is read."""

    info: Info
    data: Data


class Page(list[Run]):
    token: str | None = None


class Store:
    """Answers as MLflow does: newest first, by place, and by one metric's value."""

    def __init__(self, metrics: list[dict[str, float]]) -> None:
        self.runs = [Run(Info(str(number)), Data(known)) for number, known in enumerate(metrics)]
        self.asked = 0

    def ask(self, wanted: str, size: int, place: int) -> Any:
        self.asked += 1
        fitting = self.runs
        if wanted:
            name, comparator, value = wanted.removeprefix("metrics.").rsplit(" ", 2)
            fitting = [run for run in self.runs if _fits(run, name.strip("`"), comparator, value)]
        page = Page(fitting[place : place + size])
        page.token = "more" if len(fitting) > place + size else None
        return page


def _fits(run: Run, name: str, comparator: str, value: str) -> bool:
    if name not in run.data.metrics:
        return False
    held = run.data.metrics[name]
    # As its database keeps what is no number.
    held = 0.0 if math.isnan(held) else held
    return held > float(value) or (comparator == ">=" and held == float(value))


def counted(store: Store, count: Count) -> int:
    count.look(store.ask("", PAGE, 0))
    for _ in range(STEPS):
        if count.known:
            return count.value
        count.step(store.ask)
    raise AssertionError(f"not counted in {STEPS} steps")


def found(store: Store, best: Best) -> Any:
    best.look(store.ask("", PAGE, 0))
    for _ in range(STEPS):
        if best.known:
            return best.run
        best.step(store.ask)
    raise AssertionError(f"not found in {STEPS} steps")


@pytest.mark.parametrize("size", [0, 1, 19, 20, 21, 39, 40, 41, 159, 160, 161, 1000, 100_000])
def test_any_number_is_counted(size: int) -> None:
    assert counted(Store([{}] * size), Count()) == size


def test_few_questions_do_and_fewer_the_next_time() -> None:
    store = Store([{}] * 100_000)
    count = Count()
    assert counted(store, count) == 100_000
    assert store.asked < 25
    for change in (0, 1, 15):
        store.runs += store.runs[:change]
        store.asked = 0
        assert counted(store, count) == len(store.runs)
        assert store.asked == 2


@pytest.mark.parametrize("left", [0, 5, 20, 21, 500, 999])
def test_deleted_runs_are_noticed(left: int) -> None:
    store, count = Store([{}] * 1000), Count()
    assert counted(store, count) == 1000
    store.runs = store.runs[:left]
    assert counted(store, count) == left


def test_what_was_known_is_shown_while_it_is_counted_again() -> None:
    store, count = Store([{}] * 1000), Count()
    counted(store, count)
    store.runs = store.runs[:100]
    count.look(store.ask("", PAGE, 0))
    count.step(store.ask)
    assert (count.known, count.value) == (False, 1000)


@pytest.mark.parametrize("size", [1, 20, 21, 3000])
def test_the_best_is_found_wherever_it_is(size: int) -> None:
    chosen = random.Random(size)
    for _ in range(20):
        values = [chosen.uniform(-1, 1) for _ in range(size)]
        store = Store([{"accuracy": value, "loss": -value} for value in values])
        run = found(store, Best())
        assert run["metrics"]["accuracy"] == max(values)
        assert store.asked < 12


def test_accuracy_counts_even_if_only_an_old_run_has_it() -> None:
    store = Store([{"loss": 1.0, "r2": 5.0}] * 300 + [{"accuracy": 0.1}, {"accuracy": 0.2}])
    assert found(store, Best()) == {"run_id": "301", "metrics": {"accuracy": 0.2}}


def test_without_accuracy_the_commonest_metric_counts() -> None:
    store = Store([{"r2": 0.1, "loss": 1.0}, {"r2": 0.3}, {"loss": 2.0}, {"r2": 0.2}])
    assert found(store, Best())["run_id"] == "1"
    assert found(Store([{}] * 50), Best()) is None
    assert found(Store([]), Best()) is None


@pytest.mark.parametrize("size", [30, 300])
def test_equals_and_what_is_no_number_come_to_an_end(size: int) -> None:
    assert found(Store([{"accuracy": 1.0}] * size), Best())["metrics"] == {"accuracy": 1.0}
    nothing = [{"accuracy": float("nan")}] * size
    assert found(Store([{"accuracy": -0.5}, *nothing]), Best())["run_id"] == "0"


def test_a_better_one_and_one_that_is_gone() -> None:
    store, best = Store([{"accuracy": number / 1000} for number in range(500)]), Best()
    assert found(store, best)["run_id"] == "499"
    del store.runs[499]
    assert found(store, best)["run_id"] == "498"
    store.runs.insert(250, Run(Info("new"), Data({"accuracy": 0.9})))
    store.asked = 0
    assert found(store, best)["run_id"] == "new"
    assert store.asked == 2


def test_the_best_is_shown_while_it_is_looked_for_again() -> None:
    store, best = Store([{"accuracy": 1 - number / 1000} for number in range(500)]), Best()
    store.runs.reverse()
    assert shown(best) is None
    best.look(store.ask("", PAGE, 0))
    assert (best.known, shown(best)) == (False, "480")
    assert found(store, best)["run_id"] == "0"
    store.runs.pop()
    best.look(store.ask("", PAGE, 0))
    for _ in range(STEPS):
        if best.known:
            break
        assert shown(best) == "0"
        best.step(store.ask)
    assert shown(best) == "1"


def shown(best: Best) -> str | None:
    return None if best.run is None else str(best.run["run_id"])


def test_runs_that_hold_predictions_do_not_compete() -> None:
    store = Store([{"accuracy": 0.5}] * 30 + [{"accuracy": 0.6}])
    serving = Run(Info("serving"), Data({"accuracy": 1.0}, {"slipway.kind": "serving"}))
    store.runs.insert(3, serving)
    store.runs.insert(25, serving)
    assert found(store, Best())["run_id"] == "30"
