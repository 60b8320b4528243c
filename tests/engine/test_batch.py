"""A batch that breaks is halved until it is known which request is to blame."""

from collections.abc import Sequence
from typing import Any

import pytest

from services.core.errors import InvalidInputError
from services.engine.batch import Failed, infer_each
from services.engine.workers import WorkFailed
from services.families.base import Model


class Doubler(Model):
    def __init__(self) -> None:
        self.calls = 0

    def preprocess(self, payload: Any) -> Any:
        return payload

    def postprocess(self, prepared: Any, raw: Any) -> Any:
        return raw

    def infer(self, batch: Sequence[Any]) -> list[Any]:
        self.calls += 1
        for one in batch:
            if isinstance(one, type):
                raise one("secret")
        if "short" in batch:
            return [0]
        return [2 * one for one in batch]


@pytest.mark.parametrize("poison", [ValueError, SystemExit, MemoryError])
@pytest.mark.parametrize("place", [0, 5, 15])
def test_one_poisonous_request_fails_alone(poison: type, place: int) -> None:
    model = Doubler()
    batch: list[Any] = list(range(16))
    batch[place] = poison
    results = infer_each(model, batch)
    failed = results.pop(place)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, WorkFailed)
    assert isinstance(failed.error.__cause__, poison)
    assert results == [2 * one for one in batch if one is not poison]
    assert model.calls == 9  # 1 + 2 log2(16)


def test_our_own_errors_pass_as_they_are() -> None:
    failed, fine = infer_each(Doubler(), [InvalidInputError, 3])
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, InvalidInputError)
    assert fine == 6


def test_a_wrong_number_of_results_is_no_answer() -> None:
    results = infer_each(Doubler(), [1, "short", 3, 4])
    # Alone it gives one result for one payload, so nothing is wrong with it.
    assert results == [2, 0, 6, 8]


def test_all_may_fail() -> None:
    results = infer_each(Doubler(), [ValueError] * 5)
    assert all(isinstance(one, Failed) for one in results)
