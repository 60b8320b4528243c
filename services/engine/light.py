"""Light models: no thread at all. What one turn of the event loop asks for is inferred together."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from services.engine.batch import infer
from services.engine.lane import Lane
from services.engine.profile import QUICK, Profile
from services.engine.workers import Done, as_failure
from services.families.base import Model

# So many more slow calls than quick ones end a model's being light.
_PATIENCE = 20


@dataclass(slots=True, eq=False)
class _Pending:
    prepared: Any
    rows: int
    submitted: float
    # Done, or None: the version's thread has to do it.
    answer: "asyncio.Future[Done[Any] | None]"


class Light:
    """Runs `infer` on the event loop, for payloads that take no longer than `QUICK` seconds.

    It stops being light for good when its calls turn out to take longer than its example did.
    """

    def __init__(self, model: Model, lane: Lane, profile: Profile) -> None:
        self._model = model
        self._lane = lane
        self._profile = profile
        self._pending: list[_Pending] = []
        self._slow = 0
        self.on = profile.light

    def takes(self, rows: int) -> bool:
        """Whether a payload of so many rows may run on the event loop."""
        return self.on and self._profile.infer(rows) < QUICK

    async def infer(self, prepared: Any, rows: int) -> Done[Any] | None:
        """Infer with all others of this turn of the loop; None: have the thread do it.

        Raises:
            SlipwayError, WorkFailed: as the future of a job would.
        """
        loop = asyncio.get_running_loop()
        mine = _Pending(prepared, rows, time.monotonic(), loop.create_future())
        if not self._pending:
            loop.call_soon(self._flush, loop)
        self._pending.append(mine)
        return await mine.answer

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        waiting = [one for one in self._pending if not one.answer.done()]
        batch = self._head(waiting)
        self._pending = waiting[len(batch) :]
        if self._pending:
            # The rest goes after whatever else the loop has to do.
            loop.call_soon(self._flush, loop)
        if not batch:
            return
        if not self._lane.lock.acquire(blocking=False):
            results: list[Any] = [None] * len(batch)
        else:
            try:
                results = self._run(batch)
            finally:
                self._lane.lock.release()
        for one, result in zip(batch, results, strict=True):
            if isinstance(result, Exception):
                one.answer.set_exception(result)
            else:
                one.answer.set_result(result)

    def _head(self, waiting: list[_Pending]) -> list[_Pending]:
        """Return the first of those that wait, as many as fit into one call."""
        rows = 0
        for count, one in enumerate(waiting):
            rows += one.rows
            if count and (rows > self._lane.batch or self._profile.infer(rows) > QUICK):
                return waiting[:count]
        return waiting

    def _run(self, batch: list[_Pending]) -> list[Any]:
        started = time.monotonic()
        try:
            values = infer(self._model, [one.prepared for one in batch])
        except KeyboardInterrupt:  # the operator's, not the model's
            raise
        except BaseException as error:
            # One alone is to blame; among several the thread finds out which one is.
            return [as_failure(error)] if len(batch) == 1 else [None] * len(batch)
        seconds = time.monotonic() - started
        self._learn(seconds)
        self._lane.ran(sum(one.rows for one in batch))
        return [
            Done(value, started - one.submitted, seconds)
            for one, value in zip(batch, values, strict=True)
        ]

    def _learn(self, seconds: float) -> None:
        self._slow = self._slow + 1 if seconds > QUICK else max(0, self._slow - 1)
        if self._slow >= _PATIENCE:
            self.on = False
