"""`slipway ledger export`: predictions in one file."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli import ledger_sources as sources
from services.cli.console import UsageError, err
from services.cli.ledger_files import WRITERS, writing
from services.cli.ledger_sources import Ledger, Model

if TYPE_CHECKING:
    from services.ledger.records import Record

_PAGE = 1000


def export(
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="File to write: .parquet, .jsonl or .csv.",
                     show_default=False, dir_okay=False),
    ],
    since: Annotated[
        str | None, typer.Option(help="From this time on: 2026-11-21, 2026-11-21T14:30, 2h (ago).")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Before this time, written likewise.")] = None,
    model: Model = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:  # fmt: skip
    """Write predictions of this installation to a file, in no particular order.

    They come from the ledger's database (LEDGER_KEEP_DAYS, LEDGER_KEEP_ROWS) and from what waits in
    the journals here; older ones are in MLflow's Parquet parts. The file appears when it is whole.
    """
    if output.suffix not in WRITERS:
        raise UsageError(
            "This kind of file cannot be written.", where="--output", expected=", ".join(WRITERS)
        )
    if output.exists() and not force:
        raise UsageError("The file is there already.", where="--output", expected="--force")
    if not output.absolute().parent.is_dir():
        raise UsageError("Its folder does not exist.", where="--output")
    first, last = sources.moment(since, "--since"), sources.moment(until, "--until")
    draft = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        with (
            sources.opened(needed=True) as ledger,
            _Display() as display,
            writing(output.suffix, draft) as write,
        ):
            count = _copy(ledger, _Choice(model, first, last), write, display.advanced)
        draft.replace(output)
    finally:
        draft.unlink(missing_ok=True)
    err.print(f"{count:,} predictions are in {output}.")


class _Choice:
    """Which records are wanted; `last` is not among them. Times in seconds since 1970."""

    def __init__(self, model: str | None, first: float | None, last: float | None) -> None:
        self.model, self.first, self.last = model, first, last

    def fits(self, record: "Record") -> bool:
        return (
            self.model in (None, record.model)
            and (self.first is None or record.time >= self.first)
            and (self.last is None or record.time < self.last)
        )


def _copy(
    ledger: Ledger,
    choice: _Choice,
    write: "Callable[[list[Record]], None]",
    advanced: Callable[[int], None],
) -> int:
    """Write what fits, each prediction once; return how many."""
    # The journals first: what moves into the database meanwhile is met there again, not missed.
    met: set[str] = set()
    count = 0
    for page in _pages(_fitting(ledger, choice, met)):
        write(page)
        count += len(page)
        advanced(count)
    for rows in _stored(ledger, choice):
        page = [record for record in rows if record.id not in met]
        write(page)
        count += len(page)
        advanced(count)
    return count


def _fitting(ledger: Ledger, choice: _Choice, met: set[str]) -> "Iterator[Record]":
    for record in ledger.waiting():
        if choice.fits(record) and record.id not in met:
            met.add(record.id)
            yield record


def _pages(records: "Iterator[Record]") -> "Iterator[list[Record]]":
    page: list[Record] = []
    for record in records:
        page.append(record)
        if len(page) == _PAGE:
            yield page
            page = []
    if page:
        yield page


def _stored(ledger: Ledger, choice: _Choice) -> "Iterator[list[Record]]":
    """Yield pages of what the database has; each is a short transaction of its own."""
    if ledger.database is None:
        return
    from services.ledger.database import lookup

    before = None
    while True:
        with ledger.database.reading() as connection:
            rows = lookup.recent(
                connection, model=choice.model, since=sources.microseconds(choice.first),
                until=sources.microseconds(choice.last), before=before, limit=_PAGE,
            )  # fmt: skip
        if not rows:
            return
        yield [sources.of_row(row) for row in rows]
        before = (rows[-1].time, rows[-1].id)


class _Display:
    """A moving bar with the number of predictions, on a terminal; nothing in a log."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            TextColumn("exporting"),
            BarColumn(),
            TextColumn("{task.completed:,} predictions"),
            TimeElapsedColumn(),
            console=err,
            disable=not err.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> "_Display":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advanced(self, count: int) -> None:
        """Show how many there are by now."""
        self._bar.update(self._task, completed=count)
