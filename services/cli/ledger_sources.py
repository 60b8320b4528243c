"""What the commands about records share: the database, and what the journals have beyond it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.console import UsageError, err
from services.core.errors import InvalidInputError, LedgerUnavailableError
from services.core.settings import Settings, get_settings
from services.ledger.places import Places

if TYPE_CHECKING:
    from services.ledger.database.lookup import Row
    from services.ledger.database.opening import Database
    from services.ledger.reading import Chunk, Segment
    from services.ledger.records import Record

STATUSES = ("succeeded", "failed", "canceled")
_AGO = re.compile(r"(\d+(?:\.\d+)?)(s|min|h|d)")
_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}

Model = Annotated[str | None, typer.Option(help="Only predictions of this model.")]
Status = Annotated[
    str | None, typer.Option(help=f"Only those that ended so: {', '.join(STATUSES)}.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@dataclass(frozen=True, slots=True)
class Ledger:
    """The records of this installation.

    Attributes:
        database: None where there is none yet, or where it does not answer.
        trouble: why it does not answer.
    """

    settings: Settings
    places: Places
    database: "Database | None"
    trouble: LedgerUnavailableError | None = None

    def segments(self) -> "list[tuple[Segment, int]]":
        """Return the journals' segments, and how far the database has each, in bytes."""
        from services.ledger import reading

        listed = reading.segments(self.places.journal)
        if self.database is None:
            return [(segment, 0) for segment in listed]
        from services.ledger.database import index

        with self.database.reading() as connection:
            known = index.all_progress(connection)
        nothing = index.Progress()
        return [(s, known.get((s.writer, s.number), nothing).indexed_to) for s in listed]

    def waiting(self) -> "Iterator[Record]":
        """Yield the records that only the journals have, each journal's in order."""
        for segment, indexed in self.segments():
            yield from records(segment, indexed)


@contextmanager
def opened(*, needed: bool = False) -> Iterator[Ledger]:
    """Open the ledger of the settings for the block; looking makes no database.

    Args:
        needed: a database that does not answer is an error, not a warning.

    Raises:
        ConfigurationError: the settings are not accepted.
        LedgerUnavailableError: see `needed`.
    """
    settings = get_settings()
    places = Places(settings.data_dir)
    database, trouble = None, None
    if settings.ledger_database_url is not None or places.database.exists():
        from services.ledger.database.opening import open_database

        try:
            database = open_database(settings)
        except LedgerUnavailableError as error:
            if needed:
                raise
            trouble = error
    try:
        yield Ledger(settings, places, database, trouble)
    finally:
        if database is not None:
            database.close()


def warn(ledger: Ledger) -> None:
    """Say that what follows is not everything, where it is not."""
    if ledger.trouble is not None:
        err.print("The ledger's database does not answer: only what waits in the journal is shown.")


def records(segment: "Segment", offset: int) -> "Iterator[Record]":
    """Yield a segment's records behind an offset; one that the shipper has finished has none."""
    from services.ledger import reading

    while True:
        try:
            chunk = reading.read(segment, offset)
        except FileNotFoundError:
            return
        yield from parsed(chunk)
        if chunk.finished or chunk.next_offset == offset:
            return
        offset = chunk.next_offset


def parsed(chunk: "Chunk") -> "Iterator[Record]":
    """Yield the records of a piece of a journal that can be read."""
    from services.ledger.records import parse

    for entry in chunk.records:
        with suppress(InvalidInputError):
            yield parse(entry.payload)


def of_row(row: "Row") -> "Record":
    """Return the record that a row of the database holds."""
    from services.ledger.records import parse

    return parse(bytes(row.record))


def status(text: str | None) -> str | None:
    """Return how a prediction ended, in the records' spelling.

    Raises:
        UsageError: it is none.
    """
    if text is None or text.lower() in STATUSES:
        return None if text is None else text.lower()
    raise UsageError("That is no status.", where="--status", expected=", ".join(STATUSES))


def moment(text: str | None, option: str) -> float | None:
    """Return a point in time, in seconds since 1970: a date, a date with time, or `2h` (ago).

    Without a time zone it is UTC.

    Raises:
        UsageError: it is none.
    """
    if text is None:
        return None
    now = datetime.now(UTC)
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return now.timestamp() - float(ago[1]) * _UNITS[ago[2]]
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            "That is no point in time.",
            where=option,
            expected="2026-11-21, 2026-11-21T14:30, or 90s, 15min, 2h, 7d for so long ago",
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def microseconds(seconds: float | None) -> int | None:
    """Return a point in time as the database has it."""
    return None if seconds is None else round(seconds * 1e6)


def clock(seconds: float) -> str:
    """Return a point in time for people: `2026-11-21 14:30:05.123` (UTC)."""
    found = datetime.fromtimestamp(seconds, UTC)
    return found.strftime("%Y-%m-%d %H:%M:%S.") + f"{found.microsecond // 1000:03d}"


def span(seconds: float) -> str:
    """Return a length of time in one unit: `42 s`, `3.5 h`."""
    for name, size in reversed(_UNITS.items()):
        if seconds >= 2 * size and size > 1:
            return f"{seconds / size:.1f} {name}"
    return f"{seconds:.0f} s"


def size(count: float) -> str:
    """Return a number of bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def plain(text: object) -> str:
    """Return text for a terminal: what came from outside must not steer it."""
    return "".join(sign if sign.isprintable() else " " for sign in str(text))
