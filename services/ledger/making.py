"""Makes the record of a prediction: what may be written down of it, in what form.

Where the bytes go is another's business: the gateway's into a journal (`recorder`), those of a job
into the transaction of its result (`jobrecorder`).
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

from services.core.logging import get_logger
from services.core.origin import CALLER, REQUEST_ID
from services.core.settings import Settings
from services.families.base import Picture
from services.ledger import blobs
from services.ledger.encoding import Parts, json_bytes, split
from services.ledger.places import Places
from services.ledger.privacy import DIGEST, FULL, NONE, Privacy
from services.ledger.records import VERSION

_log = get_logger(__name__)


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
        family: of the version.
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
    family: str | None = None


class Making(ABC):
    """Encodes records, and hands them on to `_append`; used from one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._places = Places(settings.data_dir)
        self._privacy = Privacy(settings)
        # Asked once, not three times a prediction: mostly there are no rules.
        self._without_rules = self._privacy.without_rules
        self._inline = settings.ledger_inline_bytes

    @abstractmethod
    def open(self) -> None:
        """Begin; called once, and so is `close`."""

    @abstractmethod
    def close(self) -> None:
        """End, when what is under way is done."""

    @abstractmethod
    def check(self) -> None:
        """Go on if a record can be written, or if what has no room may be dropped.

        Raises:
            LedgerFullError: there is none.
        """

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
        return self._append(made, encoded)

    @abstractmethod
    def leave(self, made: Made) -> None:
        """Write down a prediction that nobody waits for any more."""

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

    @abstractmethod
    def _append(self, made: Made, encoded: bytes) -> Awaitable[None] | None:
        """Hand a record on; see `record`."""

    @abstractmethod
    def _heavy(self, made: Made) -> Awaitable[None] | None:
        """Make and hand on the record of a prediction with long values; see `record`."""

    def _whole(self, made: Made) -> bytes:
        """Return a record whose long values were put beside it: that takes its time."""
        parts = self._parts(made)
        return _written(made, parts.input, parts)

    def _parts(self, made: Made) -> Parts:
        """Keep what is too large for a record beside it."""
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
    if made.family is not None:
        record["family"] = made.family
    caller = CALLER.get()
    if caller is not None:
        record["caller"] = caller
    if parts is not None:
        if parts.output_ref is not None:
            del record["output"]
        record |= parts.elsewhere()
    return json_bytes(record)
