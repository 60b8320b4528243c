"""Loading and unloading by request: what stays out, what comes back, and who notices."""

import asyncio
import threading
from typing import Any

import pytest

from services.core.errors import (
    DeadlineExceededError,
    ModelUnavailableError,
    NotFoundError,
    RegistryUnavailableError,
)
from services.core.metrics import Metrics
from services.engine.engine import Engine
from services.engine.status import IndexEntry, State
from tests.engine.conftest import MakeNumbers
from tests.support.number_family import NumberFamily, Shelves
from tests.support.numbers import Numbers, until
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.anyio
MB = 1_000_000


def index(numbers: Numbers) -> dict[str, State]:
    return {entry.version: entry.state for entry in numbers.engine.index()}


def reasons(numbers: Numbers) -> dict[str, str]:
    return {entry.version: entry.reason for entry in numbers.engine.index()}


class Door:
    """Holds the opening of one version until it is let go."""

    def __init__(self, numbers: Numbers, version: str) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        self._version = version
        numbers.family.hooks.opened = self._opened

    async def wait(self) -> None:
        assert await asyncio.to_thread(self.reached.wait, PATIENCE)

    def _opened(self, artifact: Any) -> None:
        if artifact.version == self._version:
            self.reached.set()
            assert self.go_on.wait(PATIENCE)


async def test_an_unloaded_model_stays_out_until_it_is_loaded(
    make_numbers: MakeNumbers, shelves: Shelves, metrics: Metrics
) -> None:
    shelves.add("1")
    shelves.add("2")
    numbers = await make_numbers("1")
    await numbers.promote("2")
    await numbers.in_memory("1", "2")
    await numbers.engine.unload("adder")
    with pytest.raises(ModelUnavailableError, match="unloaded by request") as caught:
        await numbers.ask()
    assert "/v2/repository/models/adder/load first" in str(caught.value.expected)
    assert numbers.status().state is State.UNLOADED
    assert not numbers.status().serves
    assert numbers.engine.not_ready() is None
    assert numbers.engine.health()["status"] == "healthy"
    assert numbers.engine.health()["models"]["adder"]["state"] == "unloaded"
    await until(lambda: sorted(numbers.family.hooks.closed) == ["1", "2"])
    await until(lambda: b"model_memory_bytes{" not in metrics.exposition())
    assert index(numbers) == {"2": State.UNLOADED}
    for _ in range(3):
        numbers.engine.follow(shelves.snapshot())  # the poll shows what it showed before
    await asyncio.sleep(0.05)
    assert numbers.status().versions == ()
    await numbers.engine.load("adder")
    assert numbers.status().serving == "2"
    assert (await numbers.ask()).output["version"] == "2"
    assert (await numbers.ask(version="1")).output["version"] == "1"
    await numbers.engine.load("adder")  # it is there
    assert shelves.fetched == ["adder/1", "adder/2", "adder/2", "adder/1"]


@pytest.mark.slow
async def test_the_promotion_of_another_version_brings_a_model_back(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    for version in "12":
        shelves.add(version)
    numbers = await make_numbers("1")
    await numbers.engine.unload("adder")
    await numbers.promote("2")
    assert (await numbers.ask(version="1")).output["version"] == "1"
    await numbers.engine.unload("adder", "1")
    await numbers.engine.unload("adder", "2")
    assert numbers.status().state is State.UNLOADED
    await numbers.promote("1")  # a rollback is a promotion too
    with pytest.raises(ModelUnavailableError, match="Version 2 of adder was unloaded"):
        await numbers.ask(version="2")


@pytest.mark.slow
async def test_versions_are_unloaded_and_loaded_one_by_one(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    for version in "123":
        shelves.add(version)
    numbers = await make_numbers("1")
    await numbers.engine.load("adder", "3")
    await numbers.in_memory("1", "3")
    await numbers.engine.unload("adder", "3")
    await numbers.engine.unload("adder", "2")  # not in memory: it stays out as well
    assert (await numbers.ask()).output["version"] == "1"
    for version in "23":
        with pytest.raises(ModelUnavailableError) as caught:
            await numbers.ask(version=version)
        assert f"/load?version={version} first" in str(caught.value.expected)
    assert index(numbers) == {"1": State.READY, "2": State.UNLOADED, "3": State.UNLOADED}
    await numbers.engine.load("adder", "3")
    assert (await numbers.ask(version="3")).output["version"] == "3"


@pytest.mark.slow
async def test_of_a_whole_model_only_the_version_that_was_loaded_again_answers(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    for version in "123":
        shelves.add(version)
    numbers = await make_numbers("1")
    await numbers.engine.unload("adder")
    await numbers.engine.load("adder", "2")
    assert (await numbers.ask(version="2")).output["version"] == "2"
    for other in (None, "1", "3"):
        with pytest.raises(ModelUnavailableError, match="The model adder was unloaded"):
            await numbers.ask(version=other)
    assert numbers.status().state is State.UNLOADED
    await numbers.engine.load("adder", "1")
    assert (await numbers.ask()).output["version"] == "1"


async def test_a_failed_version_is_tried_again_at_once(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    shelves.add("1")
    numbers = await make_numbers()
    shelves.error = NotFoundError("Its files are gone.")
    numbers.engine.follow(shelves.promote("1"))
    await until(lambda: numbers.status().state is State.FAILED)
    assert reasons(numbers) == {"1": "failed to load: Its files are gone."}
    with pytest.raises(NotFoundError, match="files are gone"):
        await numbers.engine.load("adder")
    failure = numbers.status().failure
    assert failure is not None
    assert failure.next_try is not None
    assert failure.next_try - failure.since > 55  # the second failure in a row
    shelves.error = None
    await numbers.engine.load("adder")
    assert numbers.status().serving == "1"
    assert numbers.engine.health()["status"] == "healthy"


async def test_what_does_not_exist_and_what_is_not_in_production(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    shelves.add("1")
    numbers = await make_numbers("1")
    for act in (numbers.engine.load, numbers.engine.unload):
        with pytest.raises(NotFoundError, match="no model of that name"):
            await act("nobody")
        with pytest.raises(NotFoundError, match="no such version"):
            await act("adder", "9")
    shelves.error = RegistryUnavailableError("MLflow does not answer.")
    with pytest.raises(RegistryUnavailableError):
        await numbers.engine.unload("adder", "9")
    await numbers.engine.unload("adder", "1")  # needs no registry: it is here
    shelves.error = None
    numbers.engine.follow(shelves.promote(None))
    await until(lambda: not numbers.status().versions)
    with pytest.raises(ModelUnavailableError, match="No version of adder is in production"):
        await numbers.engine.load("adder")
    await until(lambda: index(numbers) == {"": State.IDLE})
    await numbers.engine.load("adder", "1")
    assert index(numbers) == {"1": State.READY}


@pytest.mark.slow
async def test_an_evicted_model_comes_back_on_request_an_unloaded_one_does_not(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    for name in ("one", "two"):
        shelves.add("1", name=name, memory_bytes=700 * MB)
    numbers = await make_numbers(memory_budget=1000 * MB)
    await numbers.promote("1", "one")
    await numbers.promote("1", "two")

    def entry() -> IndexEntry:
        return next(entry for entry in numbers.engine.index() if entry.name == "one")

    # First it is being unloaded.
    await until(lambda: entry().state is State.EVICTED)
    assert "next request" in entry().reason
    assert numbers.status("one").state is State.EVICTED
    await numbers.engine.unload("one")
    with pytest.raises(ModelUnavailableError, match="unloaded by request"):
        await numbers.ask(name="one")
    assert numbers.status("two").state is State.READY
    await numbers.engine.load("one")
    assert numbers.status("one").state is State.READY
    assert numbers.status("two").state is State.EVICTED


async def test_a_required_model_that_is_unloaded_is_not_ready(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    shelves.add("1")
    shelves.add("1", name="other")
    shelves.promote("1", "other")
    numbers = await make_numbers("1", required_models="adder")
    await numbers.engine.unload("other")
    assert numbers.engine.not_ready() is None
    await numbers.engine.unload("adder")
    assert numbers.engine.not_ready() == "The model adder was unloaded by request."


async def test_a_start_does_not_wait_for_what_was_unloaded(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    shelves.add("1")
    numbers = await make_numbers()
    door = Door(numbers, "1")
    numbers.engine.follow(shelves.promote("1"))
    await door.wait()
    assert numbers.engine.not_ready() is not None
    await numbers.engine.unload("adder")
    assert numbers.engine.not_ready() is None
    door.go_on.set()
    await until(lambda: numbers.family.hooks.closed == ["1"])


async def test_a_model_that_comes_with_slipway(
    make_numbers: MakeNumbers, shelves: Shelves, make_settings: Any, metrics: Metrics
) -> None:
    shelves.add("1")
    family = NumberFamily(shelves.artifact("1", pinned=True))
    engine = Engine(make_settings(cache="off"), {"numbers": family}, metrics)
    try:
        engine.start()
        await until(lambda: engine.model("adder") is not None)
        await engine.unload("adder", "1")
        assert engine.not_ready() is None
        assert engine.model("adder") is None
        with pytest.raises(NotFoundError):
            await engine.unload("adder", "2")
        await engine.load("adder")
        assert engine.model("adder") is not None
    finally:
        await engine.close()
    with pytest.raises(ModelUnavailableError, match="shutting down"):
        await engine.load("adder")


@pytest.mark.slow
async def test_a_load_that_takes_too_long_goes_on(
    make_numbers: MakeNumbers, shelves: Shelves, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.engine.byhand._LOAD_SECONDS", 0.05)
    shelves.add("1")
    numbers = await make_numbers("1", request_timeout=0.05)
    await numbers.engine.unload("adder")
    door = Door(numbers, "1")
    with pytest.raises(DeadlineExceededError, match="not loaded within"):
        await numbers.engine.load("adder")
    door.go_on.set()
    await until(lambda: numbers.status().serving == "1")
