"""What is to be said about jobs: which parts work, and what is wrong, in one sentence."""

import time
from dataclasses import dataclass

from services.jobs.names import QUEUES
from services.jobs.watch import CHECK_SECONDS, Sight, without_worker

HEALTHY, UNAVAILABLE, UNKNOWN = "healthy", "unavailable", "unknown"
BEAT = "beat"
# Older, and it says nothing about now.
_FRESH_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The parts by name, the workers by queue, and why all is not well (None: it is)."""

    services: dict[str, str]
    workers: dict[str, int]
    reason: str | None


def judge(sight: Sight, now: float | None = None) -> Verdict:
    """Judge what was seen."""
    now = time.time() if now is None else now
    if now - sight.time > _FRESH_SECONDS:
        sight = Sight()
    known = sight.database is True
    workers = {queue: sight.present(queue) for queue in QUEUES}
    # What upkeep found by itself; of the parts below it knows no better.
    services = {
        check.name: check.status if now - check.checked / 1e6 < CHECK_SECONDS else UNKNOWN
        for check in sight.checks
    }
    services |= {
        "redis": _word(sight.redis),
        "database": _word(sight.database),
        "workers": _word(any(workers.values()) if known else None),
        BEAT: _word(sight.present(BEAT) > 0 if known else None),
    }
    return Verdict(services, workers if known else {}, _reason(sight, services))


def _reason(sight: Sight, services: dict[str, str]) -> str | None:
    if sight.database is False:
        return "The database does not answer; no jobs are accepted."
    if sight.redis is False:
        return "Redis does not answer; jobs are accepted and wait."
    if services["workers"] == UNAVAILABLE:
        return "No worker is there; jobs are accepted and wait."
    queues = without_worker(sight) if sight.database else []
    if queues:
        return f"No worker takes the jobs that wait in {', '.join(queues)}."
    if services[BEAT] == UNAVAILABLE:
        return "No beat is there; jobs that lose their worker or their message stay lost."
    return None


def _word(found: bool | None) -> str:
    if found is None:
        return UNKNOWN
    return HEALTHY if found else UNAVAILABLE
