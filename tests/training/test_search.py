"""The search space of a sweep: what is varied, within which limits, the same for the same seed."""

import math
from typing import Any

import pytest

from services.core.errors import InvalidInputError
from services.training.search import Sampler, draw, study, varied
from tests.training.toy import FAMILY


def drawn(sampler: Sampler, seed: int, runs: int = 60) -> list[dict[str, Any]]:
    searching, space, found = study(sampler, seed), varied(FAMILY, {}), []
    for _ in range(runs):
        trial = searching.ask()
        found.append(draw(trial, space))
        searching.tell(trial, -abs(found[-1]["rounds"] - 10))
    return found


def test_only_what_has_room_and_is_not_given_is_varied() -> None:
    assert [each.name for each in varied(FAMILY, {})] == ["rounds", "learning_rate", "guess"]
    assert [each.name for each in varied(FAMILY, {"rounds": 3})] == ["learning_rate", "guess"]


def test_nothing_to_vary_is_an_error() -> None:
    given = {"rounds": 3, "learning_rate": 0.1, "guess": "middle"}
    with pytest.raises(InvalidInputError, match="nothing to vary"):
        varied(FAMILY, given)


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_values_keep_to_their_limits_and_types(sampler: Sampler) -> None:
    for params in drawn(sampler, 1):
        assert type(params["rounds"]) is int and 1 <= params["rounds"] <= 50
        assert type(params["learning_rate"]) is float and 1e-4 <= params["learning_rate"] <= 1
        assert params["guess"] in {"middle", "bottom"}


def test_a_logarithmic_scale_is_drawn_evenly_over_its_decades() -> None:
    small = [params["learning_rate"] < 1e-2 for params in drawn("random", 2, runs=200)]
    assert 0.35 < sum(small) / len(small) < 0.65  # a linear scale would give 0.01
    assert math.isclose(math.log10(1e-2), (math.log10(1e-4) + math.log10(1)) / 2)


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_the_same_seed_draws_the_same(sampler: Sampler) -> None:
    assert drawn(sampler, 3) == drawn(sampler, 3)
    assert drawn(sampler, 3) != drawn(sampler, 4)


def test_tpe_learns_from_what_it_is_told() -> None:
    def late(sampler: Sampler) -> float:
        tries: list[int] = [
            abs(params["rounds"] - 10) for seed in range(3) for params in drawn(sampler, seed)
        ]
        return sum(tries) / len(tries)

    assert late("tpe") < late("random")
