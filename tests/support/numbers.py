"""An engine that follows a registry of numbers, as tests drive it."""

import asyncio
from collections.abc import Callable
from typing import Any

from services.engine.engine import Engine
from services.engine.messages import PredictRequest, PredictResult
from services.engine.status import ModelStatus
from tests.support.number_family import NumberFamily, Shelves
from tests.support.patience import PATIENCE


async def until(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait until a condition holds."""
    for _ in range(int(seconds * 200)):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not come to that")


class Numbers:
    """An engine that follows a registry of numbers, and both at hand."""

    def __init__(self, engine: Engine, family: NumberFamily, shelves: Shelves) -> None:
        self.engine = engine
        self.family = family
        self.shelves = shelves

    def status(self, name: str = "adder") -> ModelStatus:
        return next(found for found in self.engine.statuses() if found.name == name)

    async def ask(self, payload: Any = None, name: str = "adder", **options: Any) -> PredictResult:
        payload = {"features": [1.0, 2.0]} if payload is None else payload
        return await self.engine.predict(PredictRequest(name, payload, **options))

    async def promote(self, version: str | None, name: str = "adder") -> None:
        """Promote, and wait until the version serves."""
        self.engine.follow(self.shelves.promote(version, name))
        await until(lambda: self.status(name).serving == version)

    async def in_memory(self, *versions: str, name: str = "adder") -> None:
        """Wait until exactly these versions are in memory."""
        wanted = sorted(versions)
        await until(lambda: sorted(v.version for v in self.status(name).versions) == wanted)
