"""The one predict(): phases, limits, cancellation, and what is counted."""

import asyncio
import time

import pytest

from services.core.errors import (
    DeadlineExceededError,
    InvalidInputError,
    ModelUnavailableError,
    NotFoundError,
    OverloadedError,
    PredictionFailedError,
    UnsupportedMediaError,
)
from services.core.metrics import Metrics
from services.engine.messages import PredictRequest
from tests.engine.conftest import Gate, StartEngine, request, taken
from tests.support.blobs import BlobFamily
from tests.support.numbers import until
from tests.support.patience import AT_ONCE

pytestmark = pytest.mark.anyio


def count(metrics: Metrics, status: str) -> float:
    labels = {"model": "blobs", "version": "1", "mode": "sync", "status": status}
    return metrics.registry.get_sample_value("predictions_total", labels) or 0.0


def error_count(metrics: Metrics, kind: str) -> float:
    labels = {"model": "blobs", "type": kind}
    return metrics.registry.get_sample_value("prediction_errors_total", labels) or 0.0


async def test_a_prediction(start_engine: StartEngine, metrics: Metrics) -> None:
    engine = await start_engine()
    result = await engine.predict(request())
    assert [instance.area for instance in result.output.instances] == [900, 400]
    assert (result.model.name, result.model.version) == ("blobs", "1")
    timings = result.timings
    parts = timings.queue + timings.preprocess + timings.inference + timings.postprocess
    assert 0 < parts <= result.seconds
    assert count(metrics, "success") == 1
    for phase in ("queue", "preprocess", "inference", "postprocess"):
        labels = {"model": "blobs", "version": "1", "phase": phase}
        name = "prediction_duration_seconds_count"
        assert metrics.registry.get_sample_value(name, labels) == 1
    labels = {"model": "blobs", "version": "1"}
    assert metrics.registry.get_sample_value("prediction_confidence_count", labels) == 2
    assert metrics.registry.get_sample_value("prediction_batch_size_count", labels) == 1
    assert (metrics.registry.get_sample_value("model_memory_bytes", labels) or 0) >= 1024


async def test_every_prediction_has_an_id_of_its_own(start_engine: StartEngine) -> None:
    engine = await start_engine()
    ids = [(await engine.predict(request())).id for _ in range(3)]
    assert len(set(ids)) == 3


async def test_refused_input(start_engine: StartEngine, metrics: Metrics) -> None:
    engine = await start_engine()
    with pytest.raises(UnsupportedMediaError):
        await engine.predict(request(b"not a picture"))
    assert count(metrics, "invalid") == 1
    assert error_count(metrics, "unsupported_media_type") == 1
    assert taken(engine) == 0


async def test_bad_input_is_refused_at_once_while_the_device_is_busy(
    start_engine: StartEngine,
) -> None:
    gate = Gate()
    engine = await start_engine(BlobFamily(gate))
    running = asyncio.create_task(engine.predict(request()))
    await gate.wait_until_reached()
    started = time.monotonic()
    with pytest.raises(InvalidInputError):
        await engine.predict(request(b"not a picture"))
    assert time.monotonic() - started < AT_ONCE  # the gate would hold it
    gate.open.set()
    await running


async def test_an_unknown_model(start_engine: StartEngine, metrics: Metrics) -> None:
    engine = await start_engine()
    with pytest.raises(NotFoundError):
        await engine.predict(PredictRequest("nobody", None))
    assert b"nobody" not in metrics.exposition()


async def test_beyond_the_line_it_is_refused(start_engine: StartEngine, metrics: Metrics) -> None:
    gate = Gate()
    engine = await start_engine(BlobFamily(gate), max_queue=2)
    admitted = [asyncio.create_task(engine.predict(request())) for _ in range(3)]
    await gate.wait_until_reached()
    started = time.monotonic()
    with pytest.raises(OverloadedError) as caught:
        await engine.predict(request())
    assert time.monotonic() - started < AT_ONCE
    assert caught.value.retry_after
    gate.open.set()
    assert len(await asyncio.gather(*admitted)) == 3
    assert taken(engine) == 0
    rejected = {"reason": "queue_full"}
    assert metrics.registry.get_sample_value("requests_rejected_total", rejected) == 1


async def test_one_runs_at_a_time(start_engine: StartEngine) -> None:
    inside, most = 0, 0

    def gate() -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.01)
        inside -= 1

    engine = await start_engine(BlobFamily(gate))
    await asyncio.gather(*(engine.predict(request()) for _ in range(8)))
    assert most == 1


async def test_the_deadline(start_engine: StartEngine, metrics: Metrics) -> None:
    gate = Gate()
    engine = await start_engine(BlobFamily(gate), request_timeout=0.2)
    started = time.monotonic()
    with pytest.raises(DeadlineExceededError):
        await engine.predict(request())
    assert 0.15 < time.monotonic() - started < AT_ONCE
    assert taken(engine) == 1  # the network is still running
    gate.open.set()
    await until(lambda: taken(engine) == 0)
    assert count(metrics, "timeout") == 1


async def test_a_caller_s_own_deadline_is_shorter(start_engine: StartEngine) -> None:
    gate = Gate()
    engine = await start_engine(BlobFamily(gate))
    started = time.monotonic()
    with pytest.raises(DeadlineExceededError):
        await engine.predict(request(timeout=0.1))
    assert time.monotonic() - started < AT_ONCE
    gate.open.set()


async def test_work_past_its_deadline_is_never_run(start_engine: StartEngine) -> None:
    gate = Gate()
    family = BlobFamily(gate)
    engine = await start_engine(family)
    first = asyncio.create_task(engine.predict(request()))
    await gate.wait_until_reached()
    with pytest.raises(DeadlineExceededError):
        await engine.predict(request(timeout=0.05))
    gate.open.set()
    await first
    await until(lambda: taken(engine) == 0)
    assert family.model is not None
    assert family.model.inferred == 1


async def test_work_is_dropped_when_its_caller_has_gone(
    start_engine: StartEngine, metrics: Metrics
) -> None:
    gate = Gate()
    family = BlobFamily(gate)
    engine = await start_engine(family)
    first = asyncio.create_task(engine.predict(request()))
    await gate.wait_until_reached()
    second = asyncio.create_task(engine.predict(request()))
    await asyncio.sleep(0.2)  # by now it waits for the device
    assert taken(engine) == 2
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert taken(engine) == 1  # given back at once
    gate.open.set()
    await first
    assert family.model is not None
    assert family.model.inferred == 1
    assert count(metrics, "cancelled") == 1
    assert error_count(metrics, "client_gone") == 1


async def test_a_caller_who_leaves_while_it_runs_keeps_the_place_taken(
    start_engine: StartEngine,
) -> None:
    gate = Gate()
    engine = await start_engine(BlobFamily(gate), max_queue=0)
    first = asyncio.create_task(engine.predict(request()))
    await gate.wait_until_reached()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    with pytest.raises(OverloadedError):
        await engine.predict(request())
    gate.open.set()
    await until(lambda: taken(engine) == 0)
    await engine.predict(request())


@pytest.mark.parametrize("raised", [ValueError, MemoryError, TimeoutError, SystemExit])
async def test_a_model_that_breaks_leaks_nothing_and_the_next_one_works(
    start_engine: StartEngine, metrics: Metrics, raised: type[BaseException]
) -> None:
    broken = True

    def gate() -> None:
        if broken:
            raise raised("secret of the caller")

    engine = await start_engine(BlobFamily(gate))
    with pytest.raises(PredictionFailedError) as caught:
        await engine.predict(request())
    assert "secret" not in str(caught.value)
    assert count(metrics, "error") == 1
    assert error_count(metrics, "prediction_failed") == 1
    broken = False
    assert (await engine.predict(request())).output.instances
    assert taken(engine) == 0


async def test_after_closing_nothing_is_accepted(start_engine: StartEngine) -> None:
    engine = await start_engine()
    await engine.close()
    with pytest.raises(ModelUnavailableError):
        await engine.predict(request())
