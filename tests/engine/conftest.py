"""Engines ready to be asked: with one blob model, or with a registry of numbers."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from services.core.metrics import Metrics
from services.engine.engine import Engine
from services.engine.messages import PredictRequest
from services.engine.status import State
from services.families.cutler.schema import SegmentationInput
from tests.conftest import MakeSettings
from tests.support.blobs import BlobFamily
from tests.support.number_family import NumberFamily, Shelves
from tests.support.numbers import Numbers, until
from tests.support.patience import PATIENCE
from tests.support.pictures import blobs_as

StartEngine = Callable[..., Awaitable[Engine]]


class Gate:
    """Holds every `infer` until it is opened, and says when one has come."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.reached = threading.Semaphore(0)

    def __call__(self, _: object = None) -> None:
        self.reached.release()
        assert self.open.wait(PATIENCE)

    async def wait_until_reached(self) -> None:
        assert await asyncio.to_thread(self.reached.acquire, timeout=PATIENCE)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def start_engine(make_settings: MakeSettings, metrics: Metrics) -> AsyncIterator[StartEngine]:
    """Return a starter of engines with the blob model; each is closed at the end."""
    engines = []

    async def start(family: BlobFamily | None = None, **settings: object) -> Engine:
        families = {"blobs": family or BlobFamily()}
        engine = Engine(make_settings(**{"shutdown_grace": 5, **settings}), families, metrics)
        engines.append(engine)
        engine.start()
        await until(lambda: state(engine, "blobs") in (State.READY, State.FAILED))
        return engine

    yield start
    for engine in engines:
        await engine.close()


MakeNumbers = Callable[..., Awaitable[Numbers]]


@pytest.fixture
def shelves(tmp_path: Path) -> Shelves:
    return Shelves(tmp_path / "shelves")


@pytest.fixture
async def make_numbers(
    make_settings: MakeSettings, metrics: Metrics, shelves: Shelves
) -> AsyncIterator[MakeNumbers]:
    """Return a maker of engines that follow `shelves`; each is closed at the end."""
    engines = []

    async def make(
        serve: str | None = None, *, family: NumberFamily | None = None, **settings: object
    ) -> Numbers:
        family = NumberFamily() if family is None else family
        made = make_settings(**{"shutdown_grace": 5, "cache": "off", **settings})
        engine = Engine(made, {"numbers": family}, metrics, shelves)
        engines.append(engine)
        engine.start()
        numbers = Numbers(engine, family, shelves)
        if serve is not None:
            await numbers.promote(serve)
        return numbers

    yield make
    for engine in engines:
        await engine.close()


def state(engine: Engine, name: str) -> State | None:
    """Return the state of a model, or None while it is not known."""
    return next((found.state for found in engine.statuses() if found.name == name), None)


def taken(engine: Engine, name: str = "blobs") -> int:
    """Return how many requests have a place with the version that serves."""
    serving = next(found for found in engine.statuses() if found.name == name)
    return sum(version.in_flight for version in serving.versions)


def request(data: bytes | None = None, **options: object) -> PredictRequest:
    payload = SegmentationInput(blobs_as("PNG") if data is None else data)
    return PredictRequest("blobs", payload, **options)  # type: ignore[arg-type]
