"""Following promotions: load beside, try, swap, keep the former; failures change nothing."""

import asyncio
import threading
from collections import Counter
from typing import Any

import pytest

from services.core.errors import ModelUnavailableError, NotFoundError
from services.core.metrics import Metrics
from services.engine.status import State
from services.registry.catalogue import Snapshot, Stage
from tests.engine.conftest import Gate, MakeNumbers
from tests.support.number_family import Shelves
from tests.support.numbers import Numbers, until
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.anyio


def swaps(metrics: Metrics, result: str) -> float:
    labels = {"model": "adder", "result": result}
    return metrics.registry.get_sample_value("model_swaps_total", labels) or 0.0


async def test_a_promotion_is_followed(
    make_numbers: MakeNumbers, shelves: Shelves, metrics: Metrics
) -> None:
    for version in "123":
        shelves.add(version)
    numbers = await make_numbers("1")
    first = await numbers.ask()
    assert (first.output["version"], first.output["values"]) == ("1", [3.0])
    assert (first.model.version, first.stage) == ("1", Stage.PRODUCTION)
    await numbers.promote("2")
    second = await numbers.ask()
    assert (second.output["version"], second.output["values"]) == ("2", [6.0])
    await numbers.in_memory("1", "2")  # the former one is kept for a rollback
    assert swaps(metrics, "swapped") == 1
    await numbers.promote("3")
    await numbers.in_memory("2", "3")
    await until(lambda: numbers.family.hooks.closed == ["1"])
    exposition = metrics.exposition()
    assert b'model_memory_bytes{model="adder",version="2"}' in exposition
    assert b'model_memory_bytes{model="adder",version="1"}' not in exposition
    assert b'model_loaded_info{device="cpu",family="numbers",model="adder"' in exposition


async def test_a_rollback_needs_no_load(make_numbers: MakeNumbers, shelves: Shelves) -> None:
    for version in "12":
        shelves.add(version)
    numbers = await make_numbers("1")
    await numbers.promote("2")
    numbers.engine.follow(shelves.promote("1"))
    assert numbers.status().serving == "1"  # at once, not only soon
    assert (await numbers.ask()).output["version"] == "1"
    assert shelves.fetched == ["adder/1", "adder/2"]
    await numbers.in_memory("1", "2")


async def test_requests_in_flight_end_on_the_version_they_began_with(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    for version in "123":
        shelves.add(version, example=None)
    numbers = await make_numbers("1")
    gate = Gate()
    numbers.family.hooks.infer = gate
    running = asyncio.create_task(numbers.ask())
    await gate.wait_until_reached()
    await numbers.promote("2")
    await numbers.promote("3")
    await numbers.in_memory("2", "3")
    assert "1" not in numbers.family.hooks.closed  # held by the request, though out of sight
    gate.open.set()
    assert (await running).output["version"] == "1"
    await until(lambda: numbers.family.hooks.closed == ["1"])


@pytest.mark.parametrize("where", ["open", "warm", "example", "fetch"])
async def test_a_version_that_fails_leaves_the_old_one_serving(
    make_numbers: MakeNumbers, shelves: Shelves, metrics: Metrics, where: str
) -> None:
    shelves.add("1")
    example = {"features": "x"} if where == "example" else {"features": [1.0]}
    shelves.add("2", breaks=where, example=example)
    shelves.add("3")
    numbers = await make_numbers("1")
    if where == "fetch":
        shelves.error = NotFoundError("Its files are gone.")
    numbers.engine.follow(shelves.promote("2"))
    await until(lambda: numbers.status().failure is not None)
    status = numbers.status()
    assert (status.state, status.serving, status.wanted) == (State.READY, "1", "2")
    failure = status.failure
    assert failure is not None
    assert failure.version == "2"
    assert "secret" not in failure.reason
    assert failure.next_try is not None
    assert 25 < failure.next_try - failure.since < 35
    assert (await numbers.ask()).output["version"] == "1"
    assert swaps(metrics, "failed") == 1
    assert numbers.engine.not_ready() is None
    assert numbers.engine.health()["status"] == "degraded"
    await numbers.in_memory("1")
    shelves.error = None
    await numbers.promote("3")  # another version is tried at once
    assert numbers.status().failure is None
    assert numbers.engine.health()["status"] == "healthy"


async def test_a_failed_version_is_tried_again(
    make_numbers: MakeNumbers, shelves: Shelves, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.engine.host._FIRST_RETRY", 0.05)
    shelves.add("1")
    numbers = await make_numbers()
    shelves.error = NotFoundError("Not there yet.")
    numbers.engine.follow(shelves.promote("1"))
    await until(lambda: numbers.status().state is State.FAILED)
    with pytest.raises(ModelUnavailableError, match="Not there yet"):
        await numbers.ask()
    shelves.error = None
    await until(lambda: numbers.status().serving == "1")


async def test_only_the_latest_wanted_version_is_loaded(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    for version in "12345":
        shelves.add(version)
    numbers = await make_numbers("1")
    reached, go_on = threading.Event(), threading.Event()

    def slowly(artifact: Any) -> None:
        if artifact.version == "2":
            reached.set()
            assert go_on.wait(PATIENCE)

    numbers.family.hooks.opened = slowly
    numbers.engine.follow(shelves.promote("2"))
    assert await asyncio.to_thread(reached.wait, 5)
    for version in "345":
        numbers.engine.follow(shelves.promote(version))
    assert numbers.status().serving == "1"
    go_on.set()
    await until(lambda: numbers.status().serving == "5")
    assert shelves.fetched == ["adder/1", "adder/2", "adder/5"]
    await numbers.in_memory("1", "5")  # 2 was overtaken while it loaded


async def test_a_model_without_production_says_what_to_do(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    shelves.add("1")
    numbers = await make_numbers("1")
    numbers.engine.follow(shelves.promote(None))
    await numbers.in_memory()
    with pytest.raises(ModelUnavailableError) as caught:
        await numbers.ask()
    assert "promote adder" in str(caught.value.expected)
    assert numbers.status().state is State.IDLE


async def test_a_model_that_is_gone_is_forgotten_unless_the_look_is_stale(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    shelves.add("1")
    numbers = await make_numbers("1")
    numbers.engine.follow(Snapshot({}, stale=True))
    assert (await numbers.ask()).output["version"] == "1"
    numbers.engine.follow(Snapshot({}))
    await until(lambda: numbers.family.hooks.closed == ["1"])
    with pytest.raises(NotFoundError):
        await numbers.ask()
    assert numbers.engine.statuses() == []


async def test_only_models_to_be_served_are(make_numbers: MakeNumbers, shelves: Shelves) -> None:
    shelves.add("1")
    shelves.add("1", name="other")
    shelves.promote("1", "other")
    numbers = await make_numbers("1", serve_models="adder")
    assert [status.name for status in numbers.engine.statuses()] == ["adder"]
    with pytest.raises(NotFoundError):
        await numbers.ask(name="other")


async def hammer(numbers: Numbers, stop: asyncio.Event, answers: Counter[str]) -> None:
    """Ask without a pause; every answer must be wholly of the version that it claims."""
    turn = 0
    while not stop.is_set():
        turn += 1
        rows = [[float(turn), 1.0]] * (1 + turn % 3)
        result = await numbers.ask({"inputs": rows})
        version = result.model.version
        assert result.output == {
            "version": version,
            "values": [(turn + 1) * int(version)] * len(rows),
        }
        answers[version] += 1


@pytest.mark.slow
@pytest.mark.parametrize("example", [{"features": [1.0]}, None], ids=["light", "threads"])
async def test_swaps_under_load_fail_nobody_and_mix_nothing(
    make_numbers: MakeNumbers, shelves: Shelves, example: Any
) -> None:
    for number in range(1, 16):
        breaks = "" if number % 5 else "warm"
        shelves.add(str(number), example=example, breaks=breaks)
    numbers = await make_numbers("1")
    stop, answers = asyncio.Event(), Counter[str]()
    callers = [asyncio.create_task(hammer(numbers, stop, answers)) for _ in range(12)]
    for number in range(2, 16):
        if number % 5 == 0:
            numbers.engine.follow(shelves.promote(str(number)))
            await until(lambda: numbers.status().failure is not None)
        else:
            await numbers.promote(str(number))
        await asyncio.sleep(0.05)
    for version in ("13", "14", "13"):  # rollbacks, without any load
        numbers.engine.follow(shelves.promote(version))
        await asyncio.sleep(0.02)
    stop.set()
    await asyncio.gather(*callers)
    assert sum(answers.values()) > 200
    assert set(answers) == {str(n) for n in range(1, 15) if n % 5}
    assert numbers.status().serving == "13"
    await numbers.in_memory("13", "14")
    await until(lambda: len(numbers.family.hooks.closed) == 13)  # ten former ones, three broken
