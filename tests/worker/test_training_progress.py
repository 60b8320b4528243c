"""What a training tells of itself: bounded, in numbers that JSON has."""

import math
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from services.training.errand import Begun
from services.worker.handlers import training_progress
from services.worker.handlers.training_progress import MOST_POINTS, TrainingProgress


class Told:
    """Takes what a `Work` would."""

    def __init__(self) -> None:
        self.job = SimpleNamespace(attempts=2)
        self.all: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def progress(self, data: dict[str, Any], event: dict[str, Any]) -> None:
        self.all.append((data, event))


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def progress(told: Told) -> TrainingProgress:
    return TrainingProgress(told)  # type: ignore[arg-type]


def test_the_run_is_told_at_once_and_stays(progress: TrainingProgress, told: Told) -> None:
    progress.begun(Begun("digits", "r1", "http://mlflow/r1"))
    progress.epoch(3, 10, {"loss": 0.5})
    progress.note("registering")
    data, event = told.all[-1]
    assert {k: event[k] for k in ("phase", "epoch", "total", "fraction", "run_id", "attempt")} == {
        "phase": "registering", "epoch": 3, "total": 10, "fraction": 0.3, "run_id": "r1",
        "attempt": 2,
    }  # fmt: skip
    assert "history" not in event
    assert data["history"] == [{"epoch": 3, "metrics": {"loss": 0.5}}]


def test_a_long_curve_is_thinned_evenly(progress: TrainingProgress) -> None:
    for epoch in range(1, 1001):
        progress.epoch(epoch, 1000, {"loss": 1 / epoch})
    epochs = [point["epoch"] for point in progress.history]
    assert MOST_POINTS / 2 <= len(epochs) <= MOST_POINTS
    assert epochs[-1] == 1000
    assert {after - before for before, after in pairwise(epochs)} == {8}


def test_what_is_no_number_is_null(progress: TrainingProgress) -> None:
    progress.epoch(1, 1, {"loss": math.nan, "other": math.inf, "fine": 0.5})
    assert progress.history[0]["metrics"] == {"loss": None, "other": None, "fine": 0.5}


def test_quick_epochs_are_told_together(
    progress: TrainingProgress, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(training_progress, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    for epoch in range(1, 101):
        clock[0] += 0.01
        progress.epoch(epoch, 100, {"loss": 0.5})
    assert len(told.all) <= 6
    assert told.all[-1][0]["epoch"] == 100


def test_trials_of_a_sweep_are_counted_as_they_end(progress: TrainingProgress, told: Told) -> None:
    progress.trial(3, {"accuracy": 0.5}, failed=False)
    progress.trial(3, {}, failed=True)
    progress.trial(3, {"accuracy": 0.75}, failed=False)
    data, _ = told.all[-1]
    assert (data["epoch"], data["total"], data["failed"], data["fraction"]) == (3, 3, 1, 1.0)
    assert [point["epoch"] for point in data["history"]] == [1, 2, 3]
