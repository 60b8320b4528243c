"""Many items for one model: each is answered or refused by itself, whatever the others are."""

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from services.core.errors import (
    DeadlineExceededError,
    InvalidInputError,
    PredictionFailedError,
    SlipwayError,
)
from services.engine.apart import split
from services.engine.engine import Engine
from services.engine.messages import PredictRequest, PredictResult
from services.families.cutler.schema import SegmentationInput
from services.families.cutler.shown import json_of

MODE = "batch"
# Pictures of one request that are under way at once, so that others get their turn.
_AT_ONCE = 4
# Rows that are tried together once some row has been refused.
_CHUNK = 64
_ROW = re.compile(r"^inputs\[(\d+)\]")
_INPUTS = re.compile(r"^inputs(\[\d+\])?")
# Errors of the item itself; any other says that the model could not answer just then.
_OF_ITEM = (InvalidInputError, PredictionFailedError)
# Of a request's parts that all items share.
_SHARED = ("params", "model")


@dataclass(frozen=True, slots=True)
class Answered:
    """One item's answer: the model's fields for it, and the prediction they come from."""

    fields: Mapping[str, Any]
    result: PredictResult


Outcome = Answered | SlipwayError


@dataclass(frozen=True, slots=True)
class Outcomes:
    """One outcome for each item, in order; `labels` are the classes of their probabilities."""

    items: Sequence[Outcome]
    labels: Sequence[Any] = ()

    @property
    def first(self) -> PredictResult | None:
        """The first prediction that was made."""
        return next((item.result for item in self.items if isinstance(item, Answered)), None)


class Clock:
    """The time that a whole batch has."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left.

        Raises:
            DeadlineExceededError: none.
        """
        left = self._until - time.monotonic()
        if left <= 0:
            raise DeadlineExceededError(
                "The time for the batch was over before its turn.",
                expected="fewer items at once, or a longer REQUEST_TIMEOUT",
            )
        return left


async def pictures(
    engine: Engine, model: str, count: int, read: Callable[[int], bytes], seconds: float
) -> Outcomes:
    """Predict `count` pictures, a few at a time.

    Args:
        read: gives the encoded file of an item; what it raises is that item's error.
        seconds: that the whole batch has.

    Raises:
        SlipwayError: no item was answered, and that was not the items' fault.
    """
    gate, clock = asyncio.Semaphore(_AT_ONCE), Clock(seconds)
    outcomes: list[Outcome | None] = [None] * count

    async def one(index: int) -> None:
        async with gate:
            try:
                # Nobody is shown the annotated picture, which takes longer than the masks.
                payload = SegmentationInput(read(index), want_image=False)
                asked = PredictRequest(model, payload, mode=MODE, timeout=clock.left())
                result = await engine.predict(asked)
            except SlipwayError as error:
                outcomes[index] = error
            else:
                outcomes[index] = Answered(json_of(result.output), result)

    async with asyncio.TaskGroup() as group:
        for index in range(count):
            group.create_task(one(index))
    return _checked(outcomes)


async def rows(
    engine: Engine, asked: PredictRequest, items: Sequence[Any], name: str, seconds: float
) -> Outcomes:
    """Predict rows, all in one call of the model unless it refuses some of them.

    Args:
        asked: what to ask besides; its payload may hold `params`.
        name: what the caller calls the list of items, for errors.
        seconds: that the whole batch has.

    Raises:
        SlipwayError: no item was answered, and that was not the items' fault.
    """
    search = _Rows(engine, asked, items, name, Clock(seconds))
    await search.run()
    return replace(_checked(search.outcomes), labels=search.labels)


class _Rows:
    """Rows that are asked together; those that are refused are found and left out."""

    def __init__(
        self, engine: Engine, asked: PredictRequest, items: Sequence[Any], name: str, clock: Clock
    ) -> None:
        self.outcomes: list[Outcome | None] = [None] * len(items)
        self.labels: Sequence[Any] = ()
        self._engine = engine
        self._asked = asked
        self._items = items
        self._name = name
        self._clock = clock

    async def run(self) -> None:
        """Find the outcome of every row."""
        waiting = [list(range(len(self._items)))]
        while waiting:
            part = waiting.pop()
            try:
                result = await self._ask(part)
            except SlipwayError as error:
                waiting += self._blame(part, error)
                # A refusal may take no turn of the loop, and many of them too long for others.
                await asyncio.sleep(0)
            else:
                waiting += self._keep(part, result)

    async def _ask(self, part: list[int]) -> PredictResult:
        payload = {**self._asked.payload, "inputs": [self._items[index] for index in part]}
        return await self._engine.predict(
            replace(self._asked, payload=payload, mode=MODE, timeout=self._clock.left())
        )

    def _keep(self, part: list[int], result: PredictResult) -> list[list[int]]:
        """Take an answer apart; return what has to be asked again because that cannot be done."""
        output = result.output if isinstance(result.output, Mapping) else {"p": result.output}
        fields = split(output, len(part))
        if fields is None:
            if len(part) > 1:
                return [[index] for index in reversed(part)]
            fields = [dict(output)]
        self.labels = self.labels or output.get("classes", ())
        for index, own in zip(part, fields, strict=True):
            self.outcomes[index] = Answered(own, result)
        return []

    def _blame(self, part: list[int], error: SlipwayError) -> list[list[int]]:
        """Give an error to the rows that it is about; return what is to be asked next."""
        where = error.where or ""
        if not isinstance(error, _OF_ITEM):
            for index in part:
                self.outcomes[index] = error
            return []
        if re.split(r"[.\[]", where)[0] in _SHARED:
            raise error
        if len(part) == 1:
            self._tell(part[0], error)
            return []
        found = _ROW.match(where)
        at = int(found[1]) if found else len(part)
        if at < len(part):
            # Alone it gets an error of its own: this one may be about several rows.
            bad = part.pop(at)
            return [part[i : i + _CHUNK] for i in range(0, len(part), _CHUNK)] + [[bad]]
        half = len(part) // 2
        return [part[half:], part[:half]]

    def _tell(self, index: int, error: SlipwayError) -> None:
        """Word the error of a row that was asked alone as one of the caller's list."""
        place = f"{self._name}[{index}]"
        where = error.where or ""
        error.where = _INPUTS.sub(place, where) if _INPUTS.match(where) else place
        error.message = error.message.replace("inputs[0]", place)
        self.outcomes[index] = error


def _checked(outcomes: Sequence[Outcome | None]) -> Outcomes:
    """Raise the first error that is not an item's own, unless some item was answered."""
    items = [outcome for outcome in outcomes if outcome is not None]
    if not any(isinstance(item, Answered) for item in items):
        for item in items:
            if isinstance(item, SlipwayError) and not isinstance(item, _OF_ITEM):
                raise item
    return Outcomes(items)
