"""Shows a download: a moving bar on a terminal, a line every tenth of the way in a log."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


class ProgressDisplay:
    """A `Watcher` that writes to a console."""

    def __init__(self, console: Console, label: str) -> None:
        self._console = console
        self._label = label
        self._size: int | None = None
        self._tenth = 0
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=console,
            )
            self._task = self._bar.add_task(label, total=None, start=False)

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    def started(self, done: int, size: int | None) -> None:
        """See `Watcher`."""
        self._size, self._tenth = size, _tenths(done, size)
        if done:
            self.noticed(f"going on after {done / 1e6:.1f} MB")
        if self._bar:
            self._bar.start_task(self._task)
            self._bar.update(self._task, completed=done, total=size)

    def advanced(self, done: int) -> None:
        """See `Watcher`."""
        if self._bar:
            self._bar.update(self._task, completed=done)
        elif (tenth := _tenths(done, self._size)) > self._tenth:
            self._tenth = tenth
            total = (self._size or 0) / 1e6
            self._console.print(f"{self._label}: {tenth * 10}% of {total:.1f} MB")

    def noticed(self, message: str) -> None:
        """See `Watcher`."""
        self._console.print(f"{self._label}: {message}")


def _tenths(done: int, size: int | None) -> int:
    return 10 * done // size if size else 0
