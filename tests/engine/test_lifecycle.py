"""An engine's life: loading, failing with a reason, draining, closing."""

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from services.core.errors import ConfigurationError, ModelUnavailableError, NotFoundError
from services.core.metrics import Metrics
from services.engine.engine import Engine
from services.engine.status import State
from tests.conftest import MakeSettings
from tests.engine.conftest import Gate, StartEngine, request, state
from tests.support.blobs import BlobFamily
from tests.support.numbers import until
from tests.support.patience import AT_ONCE, PATIENCE

pytestmark = pytest.mark.anyio


def held(event: threading.Event) -> Callable[[], None]:
    def wait() -> None:
        assert event.wait(PATIENCE)

    return wait


async def until_state(engine: Engine, wanted: State) -> None:
    await until(lambda: state(engine, "blobs") is wanted)


async def test_start_does_not_wait_for_the_model(
    make_settings: MakeSettings, metrics: Metrics
) -> None:
    release = threading.Event()
    family = BlobFamily(before_load=held(release))
    engine = Engine(make_settings(), {"blobs": family}, metrics)
    assert engine.not_ready() == "The service is starting."
    engine.start()
    await until_state(engine, State.LOADING)
    with pytest.raises(ModelUnavailableError, match="loading") as caught:
        await engine.predict(request())
    assert caught.value.retry_after
    release.set()
    await until_state(engine, State.READY)
    assert engine.not_ready() is None
    assert (await engine.predict(request())).output.instances
    await engine.close()


async def test_a_model_that_cannot_be_loaded_says_why(
    start_engine: StartEngine, metrics: Metrics
) -> None:
    def fail() -> None:
        raise ConfigurationError("No such file.", where="MODEL_PATH", expected="a checkpoint")

    engine = await start_engine(BlobFamily(before_load=fail))
    await until_state(engine, State.FAILED)
    reason = engine.not_ready()
    assert reason is not None
    assert "No such file. (MODEL_PATH; expected a checkpoint)" in reason
    with pytest.raises(ModelUnavailableError, match="No such file"):
        await engine.predict(request())
    labels = {"model": "blobs", "version": "none", "mode": "sync", "status": "unavailable"}
    assert metrics.registry.get_sample_value("predictions_total", labels) == 1


async def test_an_unforeseen_failure_to_load_leaks_nothing(start_engine: StartEngine) -> None:
    def fail() -> None:
        raise RuntimeError("/secret/path")

    engine = await start_engine(BlobFamily(before_load=fail))
    await until_state(engine, State.FAILED)
    reason = str(engine.not_ready())
    assert "RuntimeError" in reason
    assert "secret" not in reason


async def test_a_model_that_breaks_while_warming(
    start_engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def warm(_: object) -> None:
        raise ConfigurationError("Out of memory.")

    monkeypatch.setattr("tests.support.blobs.BlobModel.warm", warm)
    family = BlobFamily()
    engine = await start_engine(family)
    await until_state(engine, State.FAILED)
    assert "Out of memory." in str(engine.not_ready())
    assert family.model is not None
    assert family.model.closed


async def test_models_are_found_by_task(start_engine: StartEngine) -> None:
    engine = await start_engine()
    assert engine.model_for("instance-segmentation") == "blobs"
    with pytest.raises(NotFoundError):
        engine.model_for("poetry")


async def test_draining_serves_what_still_comes(start_engine: StartEngine) -> None:
    engine = await start_engine()
    engine.begin_shutdown()
    assert engine.not_ready() == "The service is shutting down."
    assert (await engine.predict(request())).output.instances


async def test_closing_waits_for_what_runs(start_engine: StartEngine) -> None:
    gate = Gate()
    family = BlobFamily(gate)
    engine = await start_engine(family)
    running = asyncio.create_task(engine.predict(request()))
    await gate.wait_until_reached()
    closing = asyncio.create_task(engine.close())
    await asyncio.sleep(0.1)
    assert not closing.done()
    with pytest.raises(ModelUnavailableError):
        await engine.predict(request())
    assert family.model is not None
    assert not family.model.closed
    gate.open.set()
    assert (await running).output.instances
    await closing
    assert family.model.closed


async def test_closing_does_not_wait_for_ever(start_engine: StartEngine) -> None:
    gate = Gate()
    family = BlobFamily(gate)
    engine = await start_engine(family, shutdown_grace=0.2)
    running = asyncio.create_task(engine.predict(request()))
    await gate.wait_until_reached()
    started = time.monotonic()
    await engine.close()
    assert time.monotonic() - started < AT_ONCE
    assert family.model is not None
    assert not family.model.closed  # it still runs, and needs its memory
    gate.open.set()
    await asyncio.gather(running, return_exceptions=True)


async def test_closing_while_a_model_loads(make_settings: MakeSettings, metrics: Metrics) -> None:
    release = threading.Event()
    family = BlobFamily(before_load=held(release))
    engine = Engine(make_settings(shutdown_grace=5), {"blobs": family}, metrics)
    engine.start()
    closing = asyncio.create_task(engine.close())
    await asyncio.sleep(0.05)
    release.set()
    await closing
    assert family.model is None or family.model.closed


async def test_no_thread_is_left(start_engine: StartEngine) -> None:
    before = set(threading.enumerate())
    engine = await start_engine()
    ours = set(threading.enumerate()) - before
    assert len(ours) >= 3
    await engine.close()
    await asyncio.sleep(0.05)
    assert not [
        t.name
        for t in ours
        if t.is_alive() and t.name.startswith(("lane", "pool", "load", "finder"))
    ]
