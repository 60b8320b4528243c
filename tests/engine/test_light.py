"""Where a prediction runs: light ones on the event loop, everything else off it."""

import asyncio
import threading
import time
from typing import Any

import numpy as np
import pytest

from services.core.errors import InvalidInputError, PredictionFailedError
from services.engine.profile import payload_size
from services.families.base import Picture
from tests.engine.conftest import MakeNumbers
from tests.support.number_family import Shelves
from tests.support.numbers import Numbers

pytestmark = pytest.mark.anyio


def is_light(numbers: Numbers) -> bool:
    (version,) = numbers.status().versions
    return version.light


async def test_a_light_model_needs_no_thread(make_numbers: MakeNumbers, shelves: Shelves) -> None:
    shelves.add("1")
    numbers = await make_numbers("1")
    assert is_light(numbers)
    threads = set()
    numbers.family.hooks.preprocess = lambda _: threads.add(threading.current_thread())
    numbers.family.hooks.infer = lambda _: threads.add(threading.current_thread())
    await asyncio.gather(*(numbers.ask() for _ in range(5)))
    assert threads == {threading.current_thread()}


async def test_one_turn_of_the_loop_is_one_call(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    shelves.add("1", max_batch=8)
    numbers = await make_numbers("1")
    numbers.family.hooks.batches.clear()
    payloads = [{"features": [float(n)]} for n in range(20)]
    results = await asyncio.gather(*(numbers.ask(payload) for payload in payloads))
    assert [result.output["values"] for result in results] == [[float(n)] for n in range(20)]
    assert numbers.family.hooks.batches == [8, 8, 4]


async def test_many_rows_leave_the_loop_alone(make_numbers: MakeNumbers, shelves: Shelves) -> None:
    shelves.add("1")
    numbers = await make_numbers("1")
    assert is_light(numbers)
    seen: list[int] = []
    numbers.family.hooks.preprocess = lambda _: seen.append(threading.get_ident())
    rows = np.ones((300_000, 1)).tolist()
    result = await numbers.ask({"inputs": rows})
    assert len(result.output["values"]) == 300_000
    assert seen != [threading.get_ident()]


async def test_one_that_is_slow_is_not_light_and_never_blocks_the_loop(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    shelves.add("1", seconds=0.02)
    numbers = await make_numbers("1")
    assert not is_light(numbers)
    numbers.family.hooks.infer = lambda _: time.sleep(1)
    turns = 0
    asked = asyncio.create_task(numbers.ask())
    while not asked.done():
        await asyncio.sleep(0.002)
        turns += 1
    assert (await asked).timings.inference > 1
    # A loop that waits for it turns once before, and once after.
    assert turns > 10


async def test_slow_steps_around_infer_never_block_the_loop_either(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    shelves.add("1", example={"features": [1.0], "slow": True})
    numbers_family_slow = await make_numbers()
    numbers_family_slow.family.hooks.preprocess = lambda _: time.sleep(0.1)
    await numbers_family_slow.promote("1")
    around = threading.get_ident()
    seen = []
    numbers_family_slow.family.hooks.preprocess = lambda _: seen.append(threading.get_ident())
    await numbers_family_slow.ask()
    assert seen != [around]


async def test_light_in_its_example_only(make_numbers: MakeNumbers, shelves: Shelves) -> None:
    """What takes longer than its example promised is moved to its thread."""
    shelves.add("1")
    numbers = await make_numbers("1")
    assert is_light(numbers)
    numbers.family.hooks.infer = lambda _: time.sleep(0.01)
    for _ in range(20):
        await numbers.ask()
    assert not is_light(numbers)
    seen = []
    numbers.family.hooks.infer = lambda _: seen.append(threading.get_ident())
    await numbers.ask()
    assert seen != [threading.get_ident()]


@pytest.mark.parametrize("example", [{"features": [1.0]}, None], ids=["light", "threads"])
async def test_a_poisonous_request_fails_alone(
    make_numbers: MakeNumbers, shelves: Shelves, example: Any
) -> None:
    shelves.add("1", example=example)
    numbers = await make_numbers("1")
    assert is_light(numbers) == (example is not None)
    values: list[Any] = [1.0, float("inf"), 2.0, "text", 3.0, 4.0]
    results = await asyncio.gather(
        *(numbers.ask({"features": [value]}) for value in values), return_exceptions=True
    )
    poisoned, refused = results[1], results[3]
    assert isinstance(poisoned, PredictionFailedError)
    assert isinstance(refused, InvalidInputError)
    fine = [result for result in results if not isinstance(result, BaseException)]
    assert [result.output["values"][0] for result in fine] == [1.0, 2.0, 3.0, 4.0]
    (version,) = numbers.status().versions
    assert version.in_flight == 0


async def test_infer_is_never_in_two_threads_at_once(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    """The model itself asserts it; payloads of all sizes take both ways at once."""
    shelves.add("1")
    numbers = await make_numbers("1")

    async def ask(turn: int) -> None:
        rows = 60_000 if turn % 10 == 0 else 1
        result = await numbers.ask({"inputs": [[float(turn)]] * rows})
        assert result.output["values"] == [float(turn)] * rows

    for start in range(0, 100, 20):
        await asyncio.gather(*(ask(start + turn) for turn in range(20)))
    assert is_light(numbers)


async def test_concurrent_requests_share_calls_of_the_thread(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    shelves.add("1", example=None, seconds=0.02)
    numbers = await make_numbers("1")
    numbers.family.hooks.batches.clear()
    await asyncio.gather(*(numbers.ask() for _ in range(40)))
    assert len(numbers.family.hooks.batches) < 20
    assert sum(numbers.family.hooks.batches) == 40


async def test_without_an_example_a_model_runs_in_threads(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    shelves.add("1", example=None)
    numbers = await make_numbers("1")
    assert not is_light(numbers)
    assert (await numbers.ask()).output["values"] == [3.0]


def test_the_size_of_payloads() -> None:
    assert payload_size({"features": [1.0] * 20}) == 22
    assert payload_size({"inputs": [[1, 2, 3]] * 4}) == 18
    assert payload_size({"inputs": [{"a": 1, "b": "x"}] * 5}) == 17
    assert payload_size(Picture(bytes(8000))) == 1001
    assert payload_size(np.ones((10, 10))) == 100
    long = {"inputs": [[1.0]] * 5_000_000}
    assert 20_000 < payload_size(long) < 20_010  # it does not walk all of it


@pytest.mark.parametrize(("device", "most"), [("cuda:0", 1), ("cpu", 2)])
async def test_models_of_one_accelerator_take_turns(
    make_numbers: MakeNumbers, shelves: Shelves, device: str, most: int
) -> None:
    numbers = await make_numbers()
    for name in ("one", "two"):
        shelves.add("1", name=name, device=device, example=None)
        await numbers.promote("1", name)
    inside: list[int] = []
    together: list[int] = []

    def infer(_: Any) -> None:
        inside.append(1)
        time.sleep(0.2)
        together.append(len(inside))
        inside.pop()

    numbers.family.hooks.infer = infer
    await asyncio.gather(*(numbers.ask(name=name) for name in ("one", "two") for _ in range(3)))
    assert max(together) == most
