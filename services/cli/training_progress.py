"""Shows a training: a moving bar on a terminal, a line every tenth of the way in a log."""

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class TrainingProgress:
    """Shows what one training after the other reports."""

    def __init__(self, console: Console, label: str) -> None:
        self._console = console
        self._label = label
        self._tenth = 0
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[figures]}"),
                console=console,
            )
            self._task = self._bar.add_task(label, total=None, figures="")

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

    def begin(self, label: str) -> None:
        """Start anew, for the next training."""
        self._label, self._tenth = label, 0
        if self._bar:
            self._bar.reset(self._task, total=None, description=label, figures="")

    def report(self, done: int, total: int, metrics: Mapping[str, float]) -> None:
        """Take what a training reports after an epoch or round; see `families.base.Report`."""
        words = figures(metrics)
        if self._bar:
            self._bar.update(self._task, completed=done, total=total, figures=words)
            return
        tenth = 10 * done // total if total else 10
        if tenth > self._tenth:
            self._tenth = tenth
            self._console.print(f"{self._label}: {done}/{total} {words}".rstrip())

    def note(self, message: str) -> None:
        """Say what is being done besides."""
        self._console.print(f"{self._label}: {message}")


def figures(metrics: Mapping[str, float]) -> str:
    """Return metrics as words: `accuracy 0.9731, loss 0.1234`."""
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())


@contextmanager
def interruptible() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C, so that a run that is stopped either way is marked as killed."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
