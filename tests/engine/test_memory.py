"""The memory budget, and memory that is really given back."""

import asyncio
import subprocess
import sys

import pytest

from services.core.errors import ModelUnavailableError
from services.core.metrics import Metrics
from services.engine import memory
from services.engine.status import State
from tests.engine.conftest import Gate, MakeNumbers
from tests.support.number_family import Shelves
from tests.support.numbers import until
from tests.support.patience import PATIENCE
from tests.support.server import ROOT

MB = 1_000_000


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.anyio
async def test_former_versions_go_first_and_production_comes_back(
    make_numbers: MakeNumbers, shelves: Shelves, metrics: Metrics
) -> None:
    for name in ("one", "two", "three"):
        for version in "12":
            shelves.add(version, name=name, memory_bytes=300 * MB)
    numbers = await make_numbers(memory_budget=1000 * MB)
    await numbers.promote("1", "one")
    await numbers.promote("2", "one")
    await numbers.promote("1", "two")
    await numbers.in_memory("1", "2", name="one")
    await numbers.promote("1", "three")
    await numbers.in_memory("2", name="one")  # the former version made room
    await numbers.ask(name="one")
    await numbers.ask(name="three")
    assert (await numbers.ask(name="three", version="2")).output["version"] == "2"
    await until(lambda: numbers.status("two").state is State.EVICTED)  # used least recently
    assert numbers.engine.not_ready() is None
    assert (await numbers.ask(name="two")).output["version"] == "1"
    assert numbers.status("two").state is State.READY
    await numbers.in_memory("1", name="three")  # what was asked for made room
    for name, evicted in (("one", 1), ("two", 1), ("three", 1)):
        labels = {"model": name}
        assert metrics.registry.get_sample_value("model_evictions_total", labels) == evicted
    bytes_now = [v.memory_bytes for s in numbers.engine.statuses() for v in s.versions]
    assert len(bytes_now) == 3
    assert all(300 * MB <= size < 340 * MB for size in bytes_now)


@pytest.mark.anyio
async def test_what_is_in_use_is_not_put_out(make_numbers: MakeNumbers, shelves: Shelves) -> None:
    for name in ("one", "two"):
        shelves.add("1", name=name, memory_bytes=700 * MB, example=None)
    numbers = await make_numbers(memory_budget=1000 * MB)
    await numbers.promote("1", "one")
    gate = Gate()
    numbers.family.hooks.infer = gate
    running = asyncio.create_task(numbers.ask(name="one"))
    await gate.wait_until_reached()
    await numbers.promote("1", "two")
    assert numbers.status("one").state is State.READY
    gate.open.set()
    assert (await running).output["version"] == "1"


@pytest.mark.anyio
async def test_a_version_larger_than_everything_is_refused(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    shelves.add("1", memory_bytes=100 * MB)
    shelves.add("2", memory_bytes=2000 * MB)
    numbers = await make_numbers("1", memory_budget=1000 * MB)
    numbers.engine.follow(shelves.promote("2"))
    await until(lambda: numbers.status().failure is not None)
    failure = numbers.status().failure
    assert failure is not None
    assert "2,000,000,000 bytes" in failure.reason
    assert "MEMORY_BUDGET" in failure.reason
    assert (await numbers.ask()).output["version"] == "1"
    assert numbers.family.hooks.closed == ["2"]
    with pytest.raises(ModelUnavailableError, match="MEMORY_BUDGET"):
        await numbers.ask(version="2")


def test_the_budget() -> None:
    assert memory.budget(5) == 5
    assert 0 < memory.budget(0) < memory.available()
    assert 0 < memory.resident() < memory.available()


TWENTY = """
import asyncio, sys, tempfile
from pathlib import Path
from services.core.metrics import Metrics
from services.engine import memory
from services.engine.engine import Engine
from tests.conftest import settings_for_tests
from tests.support.numbers import Numbers
from tests.support.number_family import NumberFamily, Shelves
from tests.support.patience import PATIENCE

async def main(folder):
    shelves = Shelves(folder)
    for number in range(1, 24):
        shelves.add(str(number), bytes=40_000_000)
    settings = settings_for_tests(data_dir=folder)
    engine = Engine(settings, {"numbers": NumberFamily()}, Metrics(), shelves)
    engine.start()
    numbers = Numbers(engine, NumberFamily(), shelves)
    for number in range(1, 24):
        await numbers.promote(str(number))
        await numbers.ask()
        if number >= 3:
            await numbers.in_memory(str(number - 1), str(number))
        if number == 3:
            await asyncio.sleep(1)
            before = memory.resident()
    # The last that left is still being given back.
    for _ in range(int(PATIENCE * 20)):
        if memory.resident() - before < 10_000_000:
            break
        await asyncio.sleep(0.05)
    found = before, memory.resident(), numbers.status().versions[0].memory_bytes
    await engine.close()
    print(*found)

with tempfile.TemporaryDirectory() as folder:
    asyncio.run(main(Path(folder)))
"""


@pytest.mark.slow
@pytest.mark.alone
def test_twenty_versions_in_turn_leave_memory_where_it_was() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TWENTY],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=3 * PATIENCE,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    before, after, one = (int(value) for value in done.stdout.splitlines()[-1].split())
    assert 39 * MB < one < 60 * MB
    assert after - before < 10 * MB  # twenty times 40 MB came and went
