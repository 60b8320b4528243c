"""Timing of answers."""

import time
from collections.abc import Sequence
from typing import Any

import pytest

from services.families.base import Model
from services.rollout import latency


class Sleeper(Model):
    """Sleeps, and remembers when it was asked in a list that it may share."""

    def __init__(self, seconds: Sequence[float], seen: list["Sleeper"]) -> None:
        self._left = list(seconds)
        self._seen = seen

    def preprocess(self, payload: Any) -> Any:
        return payload

    def infer(self, batch: Sequence[Any]) -> Sequence[Any]:
        self._seen.append(self)
        time.sleep(self._left.pop(0) if self._left else 0.001)
        return batch

    def postprocess(self, prepared: Any, raw: Any) -> Any:
        return {"prediction": raw}


def test_the_first_answers_do_not_count() -> None:
    model = Sleeper([0.2, 0.2, 0.2], [])
    (found,) = latency.measure([(model, 1)], 10)
    assert found.calls == 10
    assert 0.001 <= found.median < 0.1


def test_versions_take_turns() -> None:
    seen: list[Sleeper] = []
    a, b = Sleeper([], seen), Sleeper([], seen)
    latency.measure([(a, 1), (b, 1)], 5)
    assert seen[6:] == [a, b] * 5


def test_the_slower_one_shows_and_outliers_move_only_the_p95() -> None:
    usual = Sleeper([0.001] * 3 + [0.002] * 18 + [0.06, 0.06], [])
    slow = Sleeper([0.1] * 40, [])
    quick, slower = latency.measure([(usual, 1), (slow, 1)], 20)
    assert quick.median < 0.08 < slower.median
    assert quick.p95 > 0.03


def test_a_very_slow_model_is_timed_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "_PATIENCE", 0.05)
    (found,) = latency.measure([(Sleeper([0.03] * 99, []), 1)], 50)
    assert 3 <= found.calls < 10


def test_what_breaks_is_not_timed() -> None:
    class Broken(Sleeper):
        def infer(self, batch: Sequence[Any]) -> Sequence[Any]:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        latency.measure([(Broken([], []), 1)], 5)
