"""`python -m services.worker interactive|batch|training|upkeep|beat` does jobs, or sends them.

`python -m services.worker check QUEUE` says whether a worker of that queue on this machine works.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from services.core.errors import SlipwayError
from services.core.logging import configure_logging
from services.core.settings import Settings, get_settings
from services.jobs.names import QUEUES
from services.worker.measuring import measured

if TYPE_CHECKING:
    from services.families.base import Family
    from services.worker.controller import Worker

_BEAT, _CHECK = "beat", "check"


def main(
    arguments: Sequence[str] | None = None,
    families: "Mapping[str, Family] | None" = None,
    make: "Callable[..., Worker] | None" = None,
) -> int:
    """Run until SIGTERM or SIGINT; return the exit code.

    Args:
        families: instead of those of `services.families`.
        make: instead of `make_worker`.
    """
    given = _parse(arguments)
    # billiard's children then leave SIGTERM, which a whole group of processes may get, alone.
    os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")
    try:
        return _run(given, get_settings(), families, make)
    except SlipwayError as error:
        hint = f" ({error.where}: expected {error.expected})" if error.where else ""
        sys.stderr.write(f"slipway: {error.message}{hint}\n")
        return 1


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.worker", description=__doc__)
    parser.add_argument("role", choices=[*QUEUES, _BEAT, _CHECK])
    parser.add_argument("queue", nargs="?", choices=QUEUES, help="for check")
    parser.add_argument("--concurrency", type=int, help="jobs at once (WORKER_CONCURRENCY)")
    given = parser.parse_args(arguments)
    if (given.role == _CHECK) != (given.queue is not None):
        parser.error("a queue is named with check, and only there")
    if given.concurrency is not None and given.concurrency < 1:
        parser.error("--concurrency is at least 1")
    return given


def _run(
    given: argparse.Namespace,
    settings: Settings,
    families: "Mapping[str, Family] | None",
    make: "Callable[..., Worker] | None",
) -> int:
    if given.role == _CHECK:
        from services.worker.alive import check

        return 0 if check(settings, given.queue) else 1
    configure_logging(settings.effective_log_level, settings.log_format)
    with measured(settings, given.role) as settings:
        return _do(given, settings, families, make)


def _do(
    given: argparse.Namespace,
    settings: Settings,
    families: "Mapping[str, Family] | None",
    make: "Callable[..., Worker] | None",
) -> int:
    if given.role == _BEAT:
        from services.worker.beat import run

        return run(settings)
    from services.worker.app import make_worker

    make = make or make_worker
    worker = make(settings, given.role, concurrency=given.concurrency, families=families)
    worker.start()
    return int(worker.exitcode or 0)


if __name__ == "__main__":
    sys.exit(main())
