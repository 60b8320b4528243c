"""Sends a trace for each prediction, or for those that the rule of `thinning` leaves.

How far a segment is done, and what became of each of its predictions, is written down after MLflow
took them, in one transaction: when the shipper dies before that they are sent again, and MLflow
takes the same trace for the same.
"""

import math
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from services.core.errors import InvalidInputError
from services.core.settings import Settings
from services.ledger.database import feedback, index
from services.ledger.database.index import Progress
from services.ledger.database.opening import Database
from services.ledger.database.tables import REFUSED, SENT, THINNED
from services.ledger.places import Places
from services.ledger.reading import Entry, Segment, read, segments
from services.ledger.records import Record, parse
from services.ledger.shipping import deadletters, otlp, thinning
from services.ledger.shipping.destination import Destination, Key
from services.ledger.shipping.posting import Posting, key_of

_STEP_SECONDS = 1.0
# At once: so much may be sent a second time if the shipper dies in between.
_MOST_SENT = 200
_READ_BYTES = 256 * 1024
_COUNTED = ("traces_sent", "traces_thinned", "traces_refused")


@dataclass(slots=True)
class _Slice:
    """A piece of a segment, and what is to become of its predictions.

    Attributes:
        end: up to where in the segment.
        ordinary: how many of `sending` need a token.
    """

    end: int
    sending: list[Record] = field(default_factory=list)
    thinned: list[str] = field(default_factory=list)
    ordinary: int = 0


class Traces:
    """The stage."""

    name = "traces"

    def __init__(self, settings: Settings, database: Database, places: Places) -> None:
        self._settings = settings
        self._database = database
        self._places = places
        self._destination = Destination(settings)
        self._posting = Posting(settings, self._destination)
        self._bucket = thinning.Bucket(settings.ledger_trace_rate)
        self._share = 1.0
        self._backlog = 0

    def step(self) -> bool:
        """Do what is indexed, for about a second; return whether there may be more to do.

        Raises:
            RegistryUnavailableError, httpx.TransportError: MLflow does not take them now.
            LedgerUnavailableError: the database does not answer.
            OSError: the disk takes no more.
        """
        work = self._survey()
        until = time.monotonic() + _STEP_SECONDS
        for segment, progress in work:
            offset = progress.traced_to
            while offset < progress.indexed_to:
                if time.monotonic() >= until:
                    return True
                try:
                    end = self._advance(segment, offset, progress.indexed_to)
                except FileNotFoundError:
                    break  # finished with and deleted since it was listed
                if end == offset:
                    return False  # as fast as LEDGER_TRACE_RATE allows
                offset = end
        return False

    def status(self) -> dict[str, Any]:
        """Return what was sent, thinned and refused in all, and how it stands now.

        `traces` says whether there are any: `on`, `off` (LEDGER_TRACE_RATE is 0) or `no server`.
        """
        with self._database.reading() as connection:
            totals = index.totals(connection)
        return {
            **{name: totals.get(name, 0) for name in _COUNTED},
            "traces": self._state(),
            "trace_share": self._share,
            "trace_backlog": self._backlog,
        }

    def close(self) -> None:
        """Hang up."""
        self._posting.close()

    def _state(self) -> str:
        if self._settings.ledger_trace_rate <= 0:
            return "off"
        return "on" if self._destination.http else "no server"

    def _survey(self) -> list[tuple[Segment, Progress]]:
        """Return the segments with something to do, the oldest first; count how much it is."""
        listed = segments(self._places.journal)
        with self._database.reading() as connection:
            known = index.all_progress(connection)
        work = []
        backlog = 0.0
        for segment in listed:
            progress = known.get((segment.writer, segment.number))
            if progress is not None and progress.traced_to < progress.indexed_to:
                work.append((segment, progress))
                left = progress.indexed_to - progress.traced_to
                backlog += progress.records * left / progress.indexed_to
        self._backlog = math.ceil(backlog)
        if self._state() == "on":
            self._share = thinning.share(self._settings, self._backlog)
        else:
            self._share = 0.0
        return work

    def _advance(self, segment: Segment, start: int, indexed_to: int) -> int:
        """Do a piece of a segment; return where it ends: at `start` where nothing may be sent."""
        chunk = read(segment, start, _READ_BYTES)
        entries = [entry for entry in chunk.records if entry.end <= indexed_to]
        end = min(chunk.next_offset, indexed_to)
        if not entries and end <= start:
            end = indexed_to  # damaged to its end
        if self._share > 0:
            piece = self._plan(entries, end, start)
        else:
            piece = _Slice(end, thinned=[record.id for _, record in _readable(entries)])
        if piece.end > start:
            self._carry_out(segment, piece)
        return piece.end

    def _plan(self, entries: Sequence[Entry], end: int, start: int) -> _Slice:
        """Decide about each prediction, up to where the tokens or the room for them end."""
        found = _Slice(start)
        tokens = self._bucket.available()
        records = _readable(entries)
        with self._database.reading() as connection:
            judged = feedback.has_feedback(connection, [record.id for _, record in records])
        for entry, record in records:
            must = thinning.must_send(self._settings, record, feedback=record.id in judged)
            if must or thinning.chosen(record.id, self._share):
                if len(found.sending) >= _MOST_SENT or (not must and found.ordinary >= tokens):
                    return found
                found.sending.append(record)
                found.ordinary += not must
            else:
                found.thinned.append(record.id)
            found.end = entry.end
        found.end = end
        return found

    def _carry_out(self, segment: Segment, piece: _Slice) -> None:
        groups: dict[Key, list[tuple[Record, Span]]] = defaultdict(list)
        refused: list[tuple[Record, str]] = []
        tags = self._settings.ledger_trace_tags
        for record in piece.sending:
            try:
                groups[key_of(record)].append((record, otlp.span(record, tags=tags)))
            except InvalidInputError as error:
                refused.append((record, error.message))
        for key, group in groups.items():
            reasons = self._posting.send(self._database, key, [span for _, span in group])
            refused += [(group[place][0], reason) for place, reason in reasons.items()]
        self._bucket.take(piece.ordinary)
        deadletters.append(
            self._places, deadletters.TRACES, [(record.raw, reason) for record, reason in refused]
        )
        self._note(segment, piece, [record.id for record, _ in refused])

    def _note(self, segment: Segment, piece: _Slice, refused: Sequence[str]) -> None:
        sent = {record.id for record in piece.sending}.difference(refused)
        # What is lost with the power is sent again.
        with self._database.begin(durable=False) as connection:
            for ids, state, name in (
                (sent, SENT, "traces_sent"),
                (piece.thinned, THINNED, "traces_thinned"),
                (refused, REFUSED, "traces_refused"),
            ):
                if ids:
                    index.mark_traces(connection, ids, state)
                    index.bump(connection, name, len(ids))
            index.set_traced(connection, segment.writer, segment.number, piece.end)


def _readable(entries: Sequence[Entry]) -> list[tuple[Entry, Record]]:
    """Return the records; what is none was put aside when it was indexed."""
    found = []
    for entry in entries:
        try:
            record = parse(entry.payload)
        except InvalidInputError:
            continue
        # With a NUL PostgreSQL has none either, and would stumble over the question.
        if "\0" not in record.id:
            found.append((entry, record))
    return found
