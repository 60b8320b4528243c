"""Where the command line writes: results to standard output, everything else to standard error."""

import os
import sys
from typing import NoReturn

from rich.console import Console

from services.core.errors import SlipwayError

FAILED = 1
MISUSED = 2
INTERRUPTED = 130

# A pipe or a file has no width of its own; a table folded to a terminal's would be hard to read.
_WIDTH = None if sys.stdout.isatty() else 160

out = Console(highlight=False, markup=False, emoji=False, soft_wrap=True, width=_WIDTH)
err = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)


class UsageError(SlipwayError):
    """The command was called in a way that cannot work; nothing was done."""

    code = "usage_error"


def quiet_logs() -> None:
    """Send warnings of Slipway's own log to standard error, and nothing below them anywhere.

    Standard output carries results. `slipway run` configures its logs again when it serves.
    """
    import structlog

    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.dev.ConsoleRenderer(colors=False),
        ],
        # Its records end at the standard library's last resort: standard error, from WARNING on.
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def debugging() -> bool:
    """Say whether DEBUG asks for tracebacks.

    Read straight from the environment: it must work when the settings themselves are at fault.
    """
    return os.environ.get("DEBUG", "").strip().lower() in {"1", "true", "yes", "on"}


def describe(error: SlipwayError) -> str:
    """Return an error as one line: what was wrong, where, and what was expected."""
    notes = []
    if error.where:
        notes.append(f"at {error.where}")
    if error.expected:
        notes.append(f"expected {error.expected}")
    text = f"{error.message} ({'; '.join(notes)})" if notes else error.message
    return " ".join(text.split())


def fail(error: BaseException) -> NoReturn:
    """Print one red line for an error and leave: 2 for misuse, 1 for everything else."""
    if debugging():
        err.print_exception()
    if isinstance(error, SlipwayError):
        line = describe(error)
    else:
        hint = "" if debugging() else " (DEBUG=1 shows the traceback)"
        line = f"{type(error).__name__}: {' '.join(str(error).split())}{hint}"
    err.print(f"error: {line}", style="bold red")
    sys.exit(MISUSED if isinstance(error, UsageError) else FAILED)
