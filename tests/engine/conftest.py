"""An engine with one blob model, ready to be asked."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from services.core.metrics import Metrics
from services.engine.engine import Engine
from services.engine.host import State
from services.engine.messages import PredictRequest
from services.families.cutler.schema import SegmentationInput
from tests.conftest import MakeSettings
from tests.support.blobs import BlobFamily
from tests.support.pictures import blobs_as

StartEngine = Callable[..., Awaitable[Engine]]


class Gate:
    """Holds every `infer` until it is opened, and says when one has come."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.reached = threading.Semaphore(0)

    def __call__(self) -> None:
        self.reached.release()
        assert self.open.wait(20)

    async def wait_until_reached(self) -> None:
        assert await asyncio.to_thread(self.reached.acquire, timeout=5)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def start_engine(make_settings: MakeSettings, metrics: Metrics) -> AsyncIterator[StartEngine]:
    """Return a starter of engines; each is closed at the end."""
    engines = []

    async def start(family: BlobFamily | None = None, **settings: object) -> Engine:
        families = {"blobs": family or BlobFamily()}
        engine = Engine(make_settings(**{"shutdown_grace": 5, **settings}), families, metrics)
        engines.append(engine)
        engine.start()
        for _ in range(500):
            if engine.hosts["blobs"].state in (State.READY, State.FAILED):
                break
            await asyncio.sleep(0.01)
        return engine

    yield start
    for engine in engines:
        await engine.close()


def request(data: bytes | None = None, **options: object) -> PredictRequest:
    payload = SegmentationInput(blobs_as("PNG") if data is None else data)
    return PredictRequest("blobs", payload, **options)  # type: ignore[arg-type]
