"""The items of a batch job through the engine: several at once, each a prediction of its own."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from services.core.encoded_picture import encoded_picture
from services.core.errors import (
    DeadlineExceededError,
    InvalidInputError,
    LedgerFullError,
    LedgerUnavailableError,
    ModelUnavailableError,
    OverloadedError,
    PredictionFailedError,
    SlipwayError,
)
from services.core.ids import new_id
from services.core.origin import CALLER, REQUEST_ID
from services.engine.apart import split
from services.engine.messages import PredictRequest, PredictResult
from services.families.base import Family, Model
from services.families.cutler.schema import SegmentationInput
from services.families.cutler.shown import json_of
from services.jobs import batches
from services.jobs.batches import ZIP, Batch, Item
from services.registry.catalogue import Stage
from services.worker.outcome import NewRecord

if TYPE_CHECKING:
    from services.engine.engine import Engine
    from services.ledger.database.job_rows import Job
    from services.worker.child import Child

_PICTURE = "picture"
# Under way at once. Few: whoever waits for a single answer shares the machine.
_PICTURES_AT_ONCE = 2
_ROWS_AT_ONCE = 64
# Errors of the item itself; any other says that the model cannot answer just then.
_OF_ITEM = (InvalidInputError, PredictionFailedError, DeadlineExceededError)
# What passes: a model that is loading, an MLflow or a disk that is coming back.
_PASSES = (ModelUnavailableError, OverloadedError, LedgerFullError, LedgerUnavailableError)
_LOOK_SECONDS = 0.1
_REST = frozenset({"inputs", "params"})


@dataclass(slots=True)
class Made:
    """What became of an item.

    Attributes:
        id: of the prediction, if it is on record.
    """

    item: Item
    id: str | None = None
    version: str | None = None
    output: Any = None
    error: SlipwayError | None = None
    records: list[NewRecord] = field(default_factory=list)

    def line(self) -> bytes:
        """Return its line of the output."""
        return batches.line(
            self.item.index,
            self.item.name,
            id=self.id,
            version=self.version,
            output=self.output,
            error=self.error,
        )


class Predictor:
    """Makes the predictions of one job.

    Args:
        limit: seconds that an item may take, the model's loading included.
    """

    def __init__(self, child: "Child", job: "Job", batch: Batch, limit: float) -> None:
        self._child = child
        self._job = job
        self._batch = batch
        self._limit = limit
        self._model: Model | None = None

    def predict(self, items: Sequence[Item]) -> list[Made]:
        """Return what became of each item, in order.

        Raises:
            SlipwayError: the model did not answer in time, and that was not the items' fault.
        """
        made = [Made(item, error=item.error) for item in items]
        try:
            self._child.run(lambda engine: self._all(engine, made))
        finally:
            for one in made:
                if one.id is not None:
                    one.records = self._child.models.records(one.id, self._job.id)
                    # Where no version took it on there is nothing to look up.
                    one.id = one.id if one.records else None
        return made

    async def _all(self, engine: "Engine", made: list[Made]) -> None:
        until = time.monotonic() + self._limit
        model = self._model = self._model or await self._opened(engine, until)
        family = self._child.families.get(model.info.family)
        pictures = family is not None and family.takes == _PICTURE
        gate = asyncio.Semaphore(_PICTURES_AT_ONCE if pictures else _ROWS_AT_ONCE)

        async def one(part: Made) -> None:
            async with gate:
                await self._one(engine, part, family)

        tasks = [asyncio.ensure_future(one(part)) for part in made if part.error is None]
        if not tasks:
            return
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _opened(self, engine: "Engine", until: float) -> Model:
        """Return the model, as soon as it is in memory."""
        while True:
            try:
                return await engine.opened(self._asked(None))
            except _PASSES as error:
                if error.retry_after is None or time.monotonic() > until:
                    raise
            await asyncio.sleep(_LOOK_SECONDS)

    async def _one(self, engine: "Engine", made: Made, family: Family | None) -> None:
        # A task has a context of its own, so that these are this job's alone.
        REQUEST_ID.set(self._job.request_id)
        CALLER.set(self._job.caller)
        try:
            asked = self._asked(self._payload(made.item, family))
            made.id = asked.id
            result = await self._patiently(engine, asked)
            made.version = result.model.version
            made.output = _shown(result)
        except _OF_ITEM as error:
            made.error = _worded(error, made.item.index)

    async def _patiently(self, engine: "Engine", asked: PredictRequest) -> PredictResult:
        until = time.monotonic() + self._limit
        while True:
            asked.timeout = max(0.001, until - time.monotonic())
            try:
                return await engine.predict(asked)
            except _PASSES as error:
                if error.retry_after is None or time.monotonic() + _LOOK_SECONDS > until:
                    raise
            await asyncio.sleep(_LOOK_SECONDS)

    def _asked(self, payload: Any) -> PredictRequest:
        stage = self._batch.stage
        return PredictRequest(
            self._job.subject,
            payload,
            version=self._batch.version,
            stage=None if stage is None else Stage(stage),
            mode=self._job.mode,
            id=None if payload is None else new_id(),
        )

    def _payload(self, item: Item, family: Family | None) -> Any:
        if family is not None and family.takes == _PICTURE:
            data = item.data
            if self._batch.kind != ZIP:
                data = encoded_picture(orjson.loads(data), "inputs[0]")
            # Nobody is shown the annotated picture, which takes longer than the masks.
            return SegmentationInput(data, threshold=self._batch.threshold, want_image=False)
        if self._batch.kind == ZIP:
            raise InvalidInputError("The model takes no files.", expected="rows in JSON or CSV")
        return payload_of(orjson.loads(item.data), None if family is None else family.field)


def payload_of(value: Any, own: str | None) -> Any:
    """Return what a line stands for: one element of `inputs`, or a whole body.

    Args:
        own: the field by which the family knows a body of its own.
    """
    known = isinstance(value, Mapping) and value.keys() <= _REST | {own}
    whole = known and ("inputs" in value or own in value)
    return value if whole else {"inputs": [value]}


def _shown(result: PredictResult) -> Any:
    """Return an output as it stands in its line: of one row where it can be taken apart."""
    output = json_of(result.output)
    rows = split(output, 1) if isinstance(output, Mapping) else None
    return output if rows is None else rows[0]


def _worded(error: SlipwayError, index: int) -> SlipwayError:
    """Return an error about the one row of a payload as one about the item."""
    place = f"items[{index}]"
    where = error.where or ""
    error.where = (
        place + where.removeprefix("inputs[0]") if where.startswith("inputs[0]") else where
    )
    error.where = error.where or place
    error.message = error.message.replace("inputs[0]", place)
    return error
