"""Requests that name a version or a stage, builtin models, readiness, and ending while it loads."""

import asyncio
import threading
from typing import Any

import pytest

from services.core.errors import (
    ConfigurationError,
    DeadlineExceededError,
    ModelUnavailableError,
    NotFoundError,
    RegistryUnavailableError,
)
from services.core.metrics import Metrics
from services.engine.engine import Engine
from services.engine.messages import PredictRequest
from services.engine.status import State
from services.registry.catalogue import Snapshot, Stage
from tests.conftest import MakeSettings
from tests.engine.conftest import MakeNumbers
from tests.support.number_family import NumberFamily, Shelves
from tests.support.numbers import until
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.anyio


async def test_a_version_is_loaded_once_however_many_ask(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    for version in "12":
        shelves.add(version)
    numbers = await make_numbers("1")
    results = await asyncio.gather(*(numbers.ask(version="2") for _ in range(20)))
    assert {result.output["version"] for result in results} == {"2"}
    assert results[0].stage is Stage.NONE
    assert shelves.fetched == ["adder/1", "adder/2"]
    assert (await numbers.ask()).output["version"] == "1"
    numbers.engine.follow(shelves.promote("2"))  # in memory already: nothing to wait for
    assert (await numbers.ask()).output["version"] == "2"


async def test_a_stage_names_a_version(make_numbers: MakeNumbers, shelves: Shelves) -> None:
    for version in "12":
        shelves.add(version)
    shelves.models["adder"]["2"] = Stage.STAGING
    numbers = await make_numbers("1")
    result = await numbers.ask(stage=Stage.STAGING)
    assert (result.output["version"], result.stage) == ("2", Stage.STAGING)
    assert (await numbers.ask(stage=Stage.PRODUCTION)).output["version"] == "1"


async def test_unknown_versions_and_a_registry_that_is_down(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    for version in "123":
        shelves.add(version)
    numbers = await make_numbers("1")
    with pytest.raises(NotFoundError):
        await numbers.ask(version="9")
    await numbers.ask(version="2")
    shelves.error = RegistryUnavailableError("MLflow does not answer.")
    assert (await numbers.ask(version="2")).output["version"] == "2"
    assert (await numbers.ask()).output["version"] == "1"
    for version in ("3", "7"):
        with pytest.raises(RegistryUnavailableError):
            await numbers.ask(version=version)


async def test_a_version_that_cannot_be_loaded_is_not_tried_at_each_request(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    shelves.add("1")
    shelves.add("2", breaks="open")
    numbers = await make_numbers("1")
    for _ in range(3):
        with pytest.raises(ModelUnavailableError, match="Version 2 of adder") as caught:
            await numbers.ask(version="2")
        assert "secret" not in str(caught.value)
    assert shelves.fetched == ["adder/1", "adder/2"]
    assert numbers.engine.health()["status"] == "healthy"  # production is fine


async def test_waiting_for_a_load_ends_with_the_deadline(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    for version in "12":
        shelves.add(version)
    numbers = await make_numbers("1")
    go_on = threading.Event()

    def slowly(_: Any) -> None:
        assert go_on.wait(PATIENCE)

    numbers.family.hooks.opened = slowly
    patient = asyncio.create_task(numbers.ask(version="2"))
    with pytest.raises(DeadlineExceededError):
        await numbers.ask(version="2", timeout=0.05)
    go_on.set()  # the other one still gets it
    assert (await patient).output["version"] == "2"


async def test_a_builtin_serves_until_the_registry_has_one(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    for version in "12":
        shelves.add(version)
    family = NumberFamily(shelves.artifact("1"))
    shelves.models.clear()
    numbers = await make_numbers(family=family)
    await until(lambda: bool(numbers.engine.statuses()))
    assert numbers.engine.not_ready() == "The registry has not been read yet."
    assert numbers.family.hooks.closed == shelves.fetched == []
    numbers.engine.follow(Snapshot({}, stale=True))
    await until(lambda: numbers.status().serving == "1")
    result = await numbers.ask()
    assert (result.output["version"], result.stage) == ("1", Stage.NONE)
    shelves.models["adder"] = {"2": Stage.NONE}
    await numbers.promote("2")
    # What only stood in takes no memory once it is not needed; and it comes back.
    await until(lambda: [one.version for one in numbers.status().versions] == ["2"])
    numbers.engine.follow(Snapshot({}))
    await until(lambda: numbers.status().serving == "1")
    assert (await numbers.ask()).output["version"] == "1"


async def test_a_pinned_model_is_never_replaced(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    for version in "12":
        shelves.add(version)
    numbers = await make_numbers(family=NumberFamily(shelves.artifact("1", pinned=True)))
    await until(lambda: bool(numbers.engine.statuses()) and numbers.status().serving == "1")
    numbers.engine.follow(shelves.promote("2"))
    numbers.engine.follow(Snapshot({}))
    assert (await numbers.ask()).output["version"] == "1"
    assert shelves.fetched == []


async def test_ready_once_the_first_loads_have_ended(
    make_numbers: MakeNumbers, shelves: Shelves
) -> None:
    for name in ("adder", "broken", "late"):
        shelves.add("1", name=name, breaks="open" if name == "broken" else "")
        shelves.promote("1", name)
    go_on = threading.Event()

    def slowly(_: Any) -> None:
        assert go_on.wait(PATIENCE)

    late = shelves.models.pop("late")
    numbers = await make_numbers()
    numbers.family.hooks.opened = slowly
    with pytest.raises(ModelUnavailableError):
        await numbers.ask()
    numbers.engine.follow(shelves.snapshot())
    await until(lambda: numbers.status().state is State.LOADING)
    assert "adder" in str(numbers.engine.not_ready())
    assert numbers.engine.health()["status"] == "starting"
    go_on.set()
    await until(lambda: numbers.engine.not_ready() is None)
    assert numbers.status("broken").state is State.FAILED
    assert numbers.engine.health()["status"] == "degraded"
    go_on.clear()
    shelves.models["late"] = late
    numbers.engine.follow(shelves.snapshot())
    await until(lambda: numbers.status("late").state is State.LOADING)
    assert numbers.engine.not_ready() is None  # a newcomer holds up nobody
    go_on.set()


async def test_required_models_must_serve(make_numbers: MakeNumbers, shelves: Shelves) -> None:
    shelves.add("1")
    shelves.add("1", name="other")
    numbers = await make_numbers("1", required_models="adder,other,third")
    assert numbers.engine.not_ready() == "No version of the model other is in production."
    await numbers.promote("1", "other")
    assert numbers.engine.not_ready() == "The model third is not registered."


async def test_settings_that_name_no_model_are_said(
    make_settings: MakeSettings, metrics: Metrics
) -> None:
    class Broken(NumberFamily):
        def builtin(self, settings: Any) -> None:
            raise ConfigurationError("No such file.", where="MODEL_PATH")

    engine = Engine(make_settings(), {"numbers": Broken()}, metrics)
    engine.start()
    await until(lambda: "No such file. (MODEL_PATH)" in str(engine.not_ready()))
    (status,) = engine.statuses()
    assert (status.name, status.state) == ("numbers", State.FAILED)
    assert engine.health()["status"] == "failed"
    with pytest.raises(ModelUnavailableError, match="No such file"):
        await engine.predict(PredictRequest("numbers", {}))
    await engine.close()


async def test_closing_while_a_version_loads_and_requests_wait_for_it(
    make_settings: MakeSettings, metrics: Metrics, shelves: Shelves
) -> None:
    for version in "12":
        shelves.add(version)
    family = NumberFamily()
    engine = Engine(make_settings(shutdown_grace=5), {"numbers": family}, metrics, shelves)
    engine.start()
    engine.follow(shelves.promote("1"))
    await until(lambda: engine.model("adder") is not None)
    reached, go_on = threading.Event(), threading.Event()

    def slowly(_: Any) -> None:
        reached.set()
        assert go_on.wait(PATIENCE)

    family.hooks.opened = slowly
    waiting = asyncio.create_task(engine.predict(PredictRequest("adder", {}, version="2")))
    assert await asyncio.to_thread(reached.wait, 5)
    closing = asyncio.create_task(engine.close())
    with pytest.raises(ModelUnavailableError):
        await waiting
    assert not closing.done()
    go_on.set()
    await closing
    assert sorted(family.hooks.closed) == ["1", "2"]
