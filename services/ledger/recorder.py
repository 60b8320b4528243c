"""Writes down every prediction before it is answered."""

import asyncio
from collections.abc import Awaitable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from services.core.errors import LedgerFullError
from services.core.logging import get_logger
from services.core.metrics import Metrics
from services.core.origin import CALLER, REQUEST_ID
from services.core.settings import Settings
from services.families.base import Picture
from services.ledger import blobs
from services.ledger.encoding import Parts, json_bytes, split
from services.ledger.journal import Journal, confirmed
from services.ledger.places import Places
from services.ledger.privacy import DIGEST, FULL, NONE, Privacy
from services.ledger.records import VERSION

_log = get_logger(__name__)
# Longest that an answer waits for its picture or its long values to be kept, in seconds.
_PATIENCE = 10.0
_THREADS = 2


@dataclass(slots=True)
class Made:
    """A prediction that came to its end. Not frozen, for it is made at every one.

    Attributes:
        id: of the prediction.
        time: when it was admitted, in seconds since 1970.
        seconds: from then to its end.
        fields: names of the model's inputs in order, where it has any.
        payload: what the model was given.
        output: what it answered; None where it did not.
        phases: seconds by phase.
        error: `code`, `message`, `where`, `expected` and `phase`, where it failed.
    """

    id: str
    time: float
    seconds: float
    model: str
    version: str
    stage: str
    mode: str
    payload: Any
    status: str
    fields: tuple[str, ...] = ()
    output: Any = None
    phases: dict[str, float] | None = None
    confidences: list[float] | None = None
    cached: bool = False
    error: dict[str, Any] | None = None


class Recorder:
    """The gateway's and the worker's way into the ledger; used from one event loop.

    `open` and `close` are called once each.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._places = Places(settings.data_dir)
        self._privacy = Privacy(settings)
        # Asked once, not three times a prediction: mostly there are no rules.
        self._without_rules = self._privacy.without_rules
        self._refuses = settings.ledger_when_full == "refuse"
        self._inline = settings.ledger_inline_bytes
        self._journal: Journal | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._unfinished: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Begin a journal.

        Raises:
            ConfigurationError: it cannot be written.
        """
        self._journal = Journal(self._settings)
        self._pool = ThreadPoolExecutor(_THREADS, "ledger-blobs")

    def close(self) -> None:
        """End it; what was recorded is on the disk."""
        if self._pool is not None:
            self._pool.shutdown()
        if self._journal is not None:
            self._journal.close()

    def check(self) -> None:
        """Go on if there is room for a record, or if what has no room may be dropped.

        Raises:
            LedgerFullError: there is none.
        """
        if self._journal is not None and self._refuses:
            self._journal.space.check()

    def record(self, made: Made) -> Awaitable[None] | None:
        """Write a prediction down; None: done, else the answer must wait for it.

        Raises:
            LedgerFullError: it cannot be, and must be (`LEDGER_WHEN_FULL=refuse`).
        """
        if isinstance(made.payload, Picture):
            return self._heavy(made)
        if self._without_rules:
            encoded = _written(made, made.payload)
        elif self._privacy.annotated(made.model):
            return self._heavy(made)
        else:
            encoded = self._encode(made)
        if len(encoded) > self._inline:
            return self._heavy(made)
        return self._append(encoded)

    def leave(self, made: Made) -> None:
        """Write down a prediction that nobody waits for any more."""
        try:
            left = self.record(made)
        except LedgerFullError:
            return
        if left is not None:
            task = asyncio.ensure_future(_quietly(left))
            self._unfinished.add(task)
            task.add_done_callback(self._unfinished.discard)

    def _encode(self, made: Made) -> bytes:
        rule = self._privacy.rule(made.model)
        if rule == NONE:
            return _written(made, None)
        hidden = self._privacy.hidden(made.model)
        value = split(made.payload, hidden, made.fields) if hidden else made.payload
        if rule == DIGEST:
            digest = f"sha256:{blobs.digest(json_bytes(value))}"
            return _written(made, None, Parts(None, digest))
        return _written(made, value)

    def _append(self, encoded: bytes) -> Awaitable[None] | None:
        if self._journal is None:
            return None
        try:
            if self._journal.space.full is not None:
                self._journal.space.check()
            written = self._journal.append(encoded)
        except LedgerFullError:
            if self._refuses:
                raise
            self._metrics.ledger_dropped.labels("full").inc()
            return None
        return None if written is None else confirmed(written)

    def _heavy(self, made: Made) -> Coroutine[Any, Any, None]:
        # Read here: the work below runs in a thread.
        origin = REQUEST_ID.get(), CALLER.get()

        def prepare() -> bytes:
            tokens = REQUEST_ID.set(origin[0]), CALLER.set(origin[1])
            try:
                parts = self._parts(made)
                return _written(made, parts.input, parts)
            finally:
                REQUEST_ID.reset(tokens[0])
                CALLER.reset(tokens[1])

        return self._heavily(prepare)

    async def _heavily(self, prepare: Any) -> None:
        if self._pool is None:
            return
        work = asyncio.get_running_loop().run_in_executor(self._pool, prepare)
        try:
            async with asyncio.timeout(_PATIENCE):
                encoded = await asyncio.shield(work)
        except TimeoutError as error:
            raise LedgerFullError(
                "The prediction cannot be recorded now: the disk is too slow.", retry_after=5
            ) from error
        written = self._append(encoded)
        if written is not None:
            await written

    def _parts(self, made: Made) -> Parts:
        """Keep what is too large for a record beside it; called by a thread."""
        rule = self._privacy.rule(made.model)
        parts = Parts(None)
        if isinstance(made.payload, Picture):
            data, name = made.payload.data, blobs.picture_name(made.payload.data)
            parts.input = {"bytes": len(data), "kind": name.rpartition(".")[2]}
        else:
            hidden = self._privacy.hidden(made.model)
            value = split(made.payload, hidden, made.fields) if hidden else made.payload
            data = json_bytes(value)
            name = f"{blobs.digest(data)}.json"
            if rule == FULL and len(data) <= self._inline:
                parts.input = value
                name = ""
        if name and rule != NONE:
            parts.input_digest = f"sha256:{name.partition('.')[0]}"
            parts.input_ref = self._kept(name, data) if rule == FULL else None
        if rule == NONE:
            parts.input = None
        output = json_bytes(made.output)
        if len(output) > self._inline:
            parts.output_ref = self._kept(f"{blobs.digest(output)}.json", output)
        drawn = getattr(made.output, "image", None)
        if isinstance(drawn, bytes) and self._privacy.annotated(made.model):
            parts.annotated = self._kept(blobs.picture_name(drawn), drawn)
        return parts

    def _kept(self, name: str, data: bytes) -> str | None:
        try:
            blobs.store(self._places, name, data)
        except OSError as error:
            # The record itself, with its digest, is what was promised.
            _log.warning("a large value could not be kept", error=error.strerror)
            return None
        return name


def _written(made: Made, value: Any, parts: Parts | None = None) -> bytes:
    """Return the JSON of a record; what is seldom there is left out where it is not.

    Args:
        value: what is written down of the input.
        parts: what lies elsewhere.
    """
    record = {
        "v": VERSION,
        "id": made.id,
        "time": made.time,
        "seconds": made.seconds,
        "model": made.model,
        "version": made.version,
        "stage": made.stage,
        "mode": made.mode,
        "request_id": REQUEST_ID.get(),
        "status": made.status,
        "phases": made.phases,
        "input": value,
        "output": made.output,
    }
    scores = made.confidences
    if scores:
        record["confidence"] = sum(scores) / len(scores)
    if made.cached:
        record["cached"] = True
    if made.error is not None:
        record["error"] = made.error
    caller = CALLER.get()
    if caller is not None:
        record["caller"] = caller
    if parts is not None:
        if parts.output_ref is not None:
            del record["output"]
        record |= parts.elsewhere()
    return json_bytes(record)


async def _quietly(left: Awaitable[None]) -> None:
    try:
        await left
    except LedgerFullError:
        return
