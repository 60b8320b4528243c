"""The processes of `slipway run` that do jobs: a worker for each queue, and the beat."""

import sys
from collections.abc import Mapping
from signal import SIGTERM

from services.cli.supervisor.places import log_of
from services.cli.supervisor.program import Program
from services.core.settings import Settings

BEAT = "beat"
QUEUES = ("interactive", "batch", "training", "upkeep")
# Over the 25 seconds that a worker gives its jobs to end before it hands them back.
_GRACE = 25.0 + 10.0
# These take all of the processor for long, while somebody waits for what the others do.
_PATIENT = frozenset({"batch", "training"})
_NICENESS = 10


def worker_programs(
    settings: Settings, environment: Mapping[str, str], after: tuple[str, ...]
) -> list[Program]:
    """Return the beat and the workers, in the order of stopping.

    Args:
        after: what must be ready before the workers are started.
    """
    beat = _program(settings, environment, BEAT, BEAT, after, group=None)
    workers = [
        _program(settings, environment, queue, f"worker-{queue}", after, group="workers")
        for queue in QUEUES
    ]
    # First: nothing is given out any more while the workers end.
    return [beat, *workers]


def _program(
    settings: Settings,
    environment: Mapping[str, str],
    role: str,
    name: str,
    after: tuple[str, ...],
    group: str | None,
) -> Program:
    return Program(
        name,
        (sys.executable, "-m", "services.worker", role),
        dict(environment),
        log=log_of(settings, name),
        grace=_GRACE,
        niceness=_NICENESS if role in _PATIENT else 0,
        after=after,
        # Celery takes SIGINT for "finish everything first", however long that takes.
        ended_by=SIGTERM,
        group=group,
    )
