"""Loads and unloads that meet each other, promotions and requests; and memory given back."""

import asyncio
import subprocess
import sys
import threading
from collections import Counter
from typing import Any

import pytest

from services.core.errors import ModelUnavailableError
from services.engine.status import State
from tests.engine.conftest import Gate, MakeNumbers
from tests.engine.test_load_unload import MB, Door, index, reasons
from tests.support.number_family import Shelves
from tests.support.numbers import until
from tests.support.patience import PATIENCE
from tests.support.server import ROOT

pytestmark = pytest.mark.anyio


async def test_requests_that_are_in_it_are_answered(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    shelves.add("1", example=None)
    numbers = await make_numbers("1")
    gate = Gate()
    numbers.family.hooks.infer = gate
    running = [asyncio.create_task(numbers.ask()) for _ in range(3)]
    await gate.wait_until_reached()
    await numbers.engine.unload("adder")
    assert index(numbers) == {"1": State.UNLOADING}
    assert reasons(numbers) == {"1": "3 requests are still in it"}
    with pytest.raises(ModelUnavailableError):
        await numbers.ask()
    await numbers.engine.load("adder")  # a second copy, while the first still works
    assert index(numbers) == {"1": State.READY}
    assert numbers.family.hooks.closed == []
    gate.open.set()
    assert {(await one).output["version"] for one in running} == {"1"}
    await until(lambda: numbers.family.hooks.closed == ["1"])
    assert (await numbers.ask()).output["version"] == "1"


@pytest.mark.slow
async def test_a_load_that_is_unloaded_meanwhile_is_closed(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    for version in "12":
        shelves.add(version)
    numbers = await make_numbers("1")
    door = Door(numbers, "2")
    named = asyncio.create_task(numbers.ask(version="2"))
    loading = asyncio.create_task(numbers.engine.load("adder", "2"))
    await door.wait()
    assert index(numbers) == {"1": State.READY, "2": State.LOADING}
    await numbers.engine.unload("adder", "2")
    for one in (named, loading):  # at once, not when the load is done
        with pytest.raises(ModelUnavailableError, match="Version 2 of adder was unloaded"):
            await one
    assert index(numbers) == {"1": State.READY, "2": State.UNLOADING}
    door.go_on.set()
    await until(lambda: numbers.family.hooks.closed == ["2"])
    assert index(numbers) == {"1": State.READY, "2": State.UNLOADED}


@pytest.mark.slow
async def test_unloaded_and_loaded_again_while_it_loads(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    for version in "12":
        shelves.add(version)
    numbers = await make_numbers("1")
    door = Door(numbers, "2")
    numbers.engine.follow(shelves.promote("2"))
    await door.wait()
    await numbers.engine.unload("adder")
    loading = [asyncio.create_task(numbers.engine.load("adder")) for _ in range(2)]
    await asyncio.sleep(0.02)
    assert not any(one.done() for one in loading)
    door.go_on.set()
    await asyncio.gather(*loading)
    assert numbers.status().serving == "2"
    assert shelves.fetched == ["adder/1", "adder/2"]  # one load was enough for all
    await until(lambda: numbers.family.hooks.closed == ["1"])


async def test_a_promotion_during_a_load_is_waited_for(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    for version in "12":
        shelves.add(version)
    numbers = await make_numbers("1")
    await numbers.engine.unload("adder")
    door = Door(numbers, "1")
    loading = asyncio.create_task(numbers.engine.load("adder"))
    await door.wait()
    numbers.engine.follow(shelves.promote("2"))
    door.go_on.set()
    await loading
    assert numbers.status().serving == "2"


# What a request is told between an unload and the end of the load after it.
_STATED = [
    "The model adder was unloaded by request.",
    "The model adder is starting.",
    "The model adder is loading.",
    "The model adder is warming.",
]


@pytest.mark.slow
@pytest.mark.parametrize("example", [{"features": [1.0]}, None], ids=["light", "threads"])
async def test_under_load_the_only_failures_are_those_after_an_unload(
    make_numbers: MakeNumbers, shelves: Shelves, example: Any
) -> None:
    for version in "12":
        shelves.add(version, example=example)
    numbers = await make_numbers("1")
    out, stop = threading.Event(), asyncio.Event()
    answers: Counter[str] = Counter()

    async def hammer() -> None:
        while not stop.is_set():
            before = out.is_set()
            try:
                answers[(await numbers.ask()).model.version] += 1
            except ModelUnavailableError as error:
                stated = error.message in _STATED and (before or out.is_set())
                answers["refused" if stated else error.message] += 1
                await asyncio.sleep(0.002)
            await asyncio.sleep(0)

    callers = [asyncio.create_task(hammer()) for _ in range(8)]
    for turn in range(16):
        out.set()
        await numbers.engine.unload("adder")
        await asyncio.sleep(0.01)
        if turn % 4:
            await numbers.engine.load("adder")
        else:
            await numbers.promote("1" if turn % 8 else "2")
        out.clear()
        # No answer may come from what was refused before the load returned.
        for _ in range(20):
            assert (await numbers.ask()).output["version"] == numbers.status().serving
    stop.set()
    await asyncio.gather(*callers)
    assert set(answers) == {"1", "2", "refused"}, answers
    assert all(count > 10 for count in answers.values()), answers
    await until(lambda: len(numbers.status().versions) <= 2)
    opened, closed = len(shelves.fetched), numbers.family.hooks.closed
    await until(lambda: opened - len(closed) == len(numbers.status().versions))


TURNS = """
import asyncio, sys, tempfile
from contextlib import suppress
from pathlib import Path
from services.core.metrics import Metrics
from services.engine import memory
from services.engine.engine import Engine
from tests.conftest import settings_for_tests
from tests.support.numbers import Numbers, until
from tests.support.number_family import NumberFamily, Shelves

async def main(folder):
    shelves = Shelves(folder)
    shelves.add("1", bytes=80_000_000)
    engine = Engine(
        settings_for_tests(data_dir=folder), {"numbers": NumberFamily()}, Metrics(), shelves
    )
    engine.start()
    numbers = Numbers(engine, NumberFamily(), shelves)
    await numbers.promote("1")
    found = []
    for _ in range(10):
        await numbers.ask()
        loaded = memory.resident()
        await engine.unload("adder")
        await until(lambda: not engine._fleet.shelf.all())
        # It has left the shelf, and is still being given back.
        with suppress(AssertionError):
            await until(lambda: loaded - memory.resident() > 70_000_000, 20)
        found.append((loaded, memory.resident()))
        await engine.load("adder")
    await engine.close()
    print(*found[1], *found[-1])

with tempfile.TemporaryDirectory() as folder:
    asyncio.run(main(Path(folder)))
"""


@pytest.mark.slow
@pytest.mark.alone
def test_memory_is_given_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TURNS],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=3 * PATIENCE,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    loaded, unloaded, *last = (int(value) for value in done.stdout.splitlines()[-1].split())
    assert loaded - unloaded > 70 * MB
    assert last[0] - loaded < 10 * MB
    assert last[1] - unloaded < 10 * MB
