"""`slipway ledger tail`: the newest predictions, and new ones as they are made."""

import heapq
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli import ledger_sources as sources
from services.cli.console import err, out
from services.cli.ledger_sources import AsJson, Ledger, Model, Status
from services.core.errors import LedgerUnavailableError

if TYPE_CHECKING:
    from services.ledger.reading import Segment
    from services.ledger.records import Record

_POLL_SECONDS = 0.3
# Another machine's records come by the database, some seconds late.
_DATABASE_SECONDS = 2.0
_SLACK_SECONDS = 60.0
_MOST_ROWS = 500
_REMEMBERED = 20_000

_HEADING = (
    f"{'time (UTC)':23}  {'status':9}  {'model':24}  {'ms':>9}  {'conf.':>5}  {'id':36}  error"
)

Wanted = Callable[["Record"], bool]


def tail(
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with new ones until Ctrl-C.")
    ] = False,
    number: Annotated[int, typer.Option("-n", min=0, help="How many to begin with.")] = 20,
    model: Model = None,
    status: Status = None,
    json: AsJson = False,
) -> None:
    """Show the newest predictions, the newest last: from the journals and the database.

    With --json each is a line with the whole record.
    """
    ended = sources.status(status)

    def wanted(record: "Record") -> bool:
        return model in (None, record.model) and ended in (None, record.status)

    with sources.opened() as ledger:
        sources.warn(ledger)
        follower = _Follower(ledger) if follow else None
        first = newest(ledger, number, wanted, model=model, status=ended)
        if not json and (first or follow):
            out.print(_HEADING)
        elif not first and not follow:
            err.print("No prediction is on record here that fits.")
        for record in first:
            _print(record, json=json)
        if follower is None:
            return
        for record in first:
            follower.note(record)
        for record in follower.run():
            if wanted(record):
                _print(record, json=json)


def newest(
    ledger: Ledger, count: int, wanted: Wanted, *, model: str | None, status: str | None
) -> "list[Record]":
    """Return the newest records that are wanted, the newest last."""
    found = {record.id: record for record in _in_journals(ledger, count, wanted)}
    if ledger.database is not None and count:
        from services.ledger.database import lookup

        with ledger.database.reading() as connection:
            rows = lookup.recent(connection, model=model, status=status, limit=count)
        found |= {row.id: sources.of_row(row) for row in rows}
    return heapq.nlargest(count, found.values(), key=lambda record: (record.time, record.id))[::-1]


def _in_journals(ledger: Ledger, count: int, wanted: Wanted) -> "Iterator[Record]":
    """Yield at least the newest of each journal: what is older than enough others is not read."""
    found: dict[str, int] = {}
    for segment, indexed in reversed(ledger.segments()):
        if found.get(segment.writer, 0) >= count:
            continue
        fitting = [record for record in sources.records(segment, indexed) if wanted(record)]
        found[segment.writer] = found.get(segment.writer, 0) + len(fitting)
        yield from heapq.nlargest(count, fitting, key=lambda record: (record.time, record.id))


class _Follower:
    """Yields each record that is written after it was made, once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._began = time.time()
        self._asked = 0.0
        self._offsets = {
            (segment.writer, segment.number): segment.size for segment in self._segments()
        }
        self._seen: dict[str, None] = {}

    def run(self) -> "Iterator[Record]":
        """Yield them for ever."""
        while True:
            for record in [*self._written(), *self._elsewhere()]:
                if record.id not in self._seen:
                    self.note(record)
                    yield record
            time.sleep(_POLL_SECONDS)

    def note(self, record: "Record") -> None:
        """Remember a record that was shown."""
        self._seen[record.id] = None
        while len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]

    def _segments(self) -> "list[Segment]":
        from services.ledger import reading

        return reading.segments(self._ledger.places.journal)

    def _written(self) -> "Iterator[Record]":
        from services.ledger import reading

        listed = {(segment.writer, segment.number): segment for segment in self._segments()}
        self._offsets = {key: self._offsets.get(key, 0) for key in listed}
        for key, segment in listed.items():
            with suppress(FileNotFoundError):
                while segment.size > self._offsets[key]:
                    chunk = reading.read(segment, self._offsets[key])
                    yield from sources.parsed(chunk)
                    if chunk.next_offset == self._offsets[key]:
                        break
                    self._offsets[key] = chunk.next_offset

    def _elsewhere(self) -> "Iterator[Record]":
        """Yield what other machines have put into a common database."""
        database = self._ledger.database
        if database is None or database.is_sqlite:
            return
        if time.monotonic() - self._asked < _DATABASE_SECONDS:
            return
        self._asked = time.monotonic()
        from services.ledger.database import lookup

        since = max(self._began, time.time() - _SLACK_SECONDS)
        with suppress(LedgerUnavailableError), database.reading() as connection:
            rows = lookup.recent(connection, since=sources.microseconds(since), limit=_MOST_ROWS)
            yield from (sources.of_row(row) for row in reversed(rows))


def _print(record: "Record", *, json: bool) -> None:
    out.print(record.raw.decode("utf-8", "replace") if json else line(record))


def line(record: "Record") -> str:
    """Return a record in one line."""
    confidence = "" if record.confidence is None else f"{record.confidence:.2f}"
    error = "" if record.error is None else str(record.error.get("code", ""))
    model = f"{record.model} v{record.version}"
    return sources.plain(
        f"{sources.clock(record.time)}  {record.status:9}  {model:24}  "
        f"{record.seconds * 1000:9.1f}  {confidence:>5}  {record.id:36}  {error}"
    ).rstrip()
