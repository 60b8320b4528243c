"""What the ledger is told of one prediction."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

from services.core.errors import LedgerFullError, SlipwayError
from services.engine.loaded import Loaded
from services.engine.messages import PredictRequest
from services.engine.steps import Answer
from services.engine.watch import Watch
from services.ledger.making import Made, Making
from services.ledger.records import CANCELED, FAILED, SUCCEEDED
from services.registry.catalogue import Stage


class Recording:
    """One prediction on its way into the ledger; of what no version took on nothing is written."""

    __slots__ = (
        "_began",
        "_done",
        "_id",
        "_loaded",
        "_recorder",
        "_request",
        "_stage",
        "_started",
        "_watch",
    )

    def __init__(
        self, recorder: Making | None, request: PredictRequest, prediction_id: str, watch: Watch
    ) -> None:
        self._recorder = recorder
        self._request = request
        self._id = prediction_id
        self._watch = watch
        self._began = time.time()
        # The clock on the wall may be set back meanwhile.
        self._started = time.monotonic()
        self._loaded: Loaded | None = None
        self._stage = Stage.NONE
        self._done = False

    def check(self) -> None:
        """Go on if a record can be written.

        Raises:
            LedgerFullError: it cannot.
        """
        if self._recorder is not None:
            self._recorder.check()

    @property
    def recorded(self) -> str | None:
        """The prediction's id, once something of it is on record."""
        return self._id if self._done else None

    def entered(self, loaded: Loaded, stage: Stage) -> None:
        """The prediction is this version's now."""
        self._loaded, self._stage = loaded, stage

    def succeeded(self, answer: Answer) -> Awaitable[None] | None:
        """Record an answer; it may leave when what is returned is done (None: now).

        Raises:
            LedgerFullError: it cannot be recorded.
        """
        recorder = self._recorder
        if recorder is None or self._loaded is None:
            return None
        made = self._made(self._loaded, SUCCEEDED)
        took = answer.timings
        made.output = answer.output
        made.phases = {
            "queue": took.queue,
            "preprocess": took.preprocess,
            "inference": took.inference,
            "postprocess": took.postprocess,
        }
        made.confidences = answer.confidences
        made.cached = answer.cached
        return recorder.record(made)

    def failed(self, error: BaseException) -> Awaitable[None] | None:
        """Record a failure, if a version had begun; see `succeeded`."""
        recorder = self._recorder
        loaded = self._loaded
        if recorder is None or loaded is None or not self._watch.begun or self._done:
            return None
        if isinstance(error, LedgerFullError):
            return None
        gone = isinstance(error, asyncio.CancelledError)
        made = self._made(loaded, CANCELED if gone else FAILED)
        made.error = _words(error, self._watch.phase)
        if gone:
            recorder.leave(made)
            return None
        return recorder.record(made)

    def _made(self, loaded: Loaded, status: str) -> Made:
        self._done = True
        request, meters = self._request, loaded.meters
        made = Made(
            self._id,
            self._began,
            time.monotonic() - self._started,
            meters.name,
            meters.version,
            self._stage.title,
            request.mode,
            request.payload,
            status,
        )
        made.fields = loaded.fields
        made.family = loaded.family
        return made


def _words(error: BaseException, phase: str) -> dict[str, Any]:
    """Return what a caller is told of an error; it carries no data."""
    if isinstance(error, SlipwayError):
        words = (error.code, error.message, error.where, error.expected)
    elif isinstance(error, asyncio.CancelledError):
        words = ("client_gone", "The caller hung up before the answer was ready.", None, None)
    else:
        words = ("internal_error", "The prediction failed.", None, None)
    code, message, where, expected = words
    return {"code": code, "message": message, "where": where, "expected": expected, "phase": phase}
