"""Workers die while they work: no job is lost, none ends twice, none ends with another's result.

The short form takes about a minute. The whole of it, 2,000 jobs and 50 deaths (`long`: 10,000 and
100), takes some ten minutes (an hour), and prints what happened:

    SLIPWAY_CHAOS=full python -m pytest tests/chaos/jobs -m slow -s -k workers_die
"""

import itertools
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from services.jobs.names import INTERACTIVE
from services.ledger.database.job_rows import QUEUED, SUCCEEDED
from tests.chaos.jobs import evidence
from tests.chaos.jobs.conftest import MakeStand
from tests.chaos.jobs.crew import ChaosStand, Crew, orphans
from tests.support.jobs_stand import wait

pytestmark = pytest.mark.slow

_SEED = 6
# Of work for every worker between two deaths, so that they die at it.
_WORK_SECONDS = 1.5
_WORKERS = 2
# In turn; a pause is no death, and takes longer than most.
_DEATHS = ("group", "child", "parent", "stop_publish_kill", "group", "child")


@dataclass(frozen=True)
class Size:
    """How much of it; `seconds`: within which all is done after the last death."""

    jobs: int
    deaths: int
    pauses: int
    seconds: float


SIZES = {
    "short": Size(200, 6, 0, 120),
    "full": Size(2_000, 50, 5, 300),
    "long": Size(10_000, 100, 10, 600),
}


def test_workers_die(
    make_stand: MakeStand, form: str, report: Callable[[dict[str, Any]], None]
) -> None:
    go(make_stand(), SIZES[form], report)


def test_workers_die_over_postgresql(
    make_stand: MakeStand,
    form: str,
    report: Callable[[dict[str, Any]], None],
    postgres_url: str,
) -> None:
    if form == "short":
        pytest.skip("its long forms only: the short one over SQLite is enough for each change")
    go(make_stand(ledger_database_url=postgres_url), SIZES[form], report)


def go(stand: ChaosStand, size: Size, report: Callable[[dict[str, Any]], None]) -> None:
    """Kill, and see what is left."""
    stand.beat()
    shipper = stand.shipper()
    crew = Crew(stand, _WORKERS, _SEED)
    began = time.monotonic()
    wanted = under_fire(stand, crew, size)
    killed = time.monotonic()
    evidence.wait_ended(stand, size.seconds)
    done = time.monotonic()
    ends = evidence.check_ends(stand, wanted)
    evidence.check_told(stand, wanted)
    evidence.check_records(stand, set(ends.succeeded), size.seconds)
    assert crew.stop() == [0] * _WORKERS
    assert not orphans(stand.running)
    assert shipper.stop() == 0
    attempts = Counter(job.attempts for job in ends.succeeded.values())
    # So many deaths must have cost somebody an attempt, or they hit nobody.
    assert attempts.total() - attempts[1] + len(ends.dead) > 0
    totals = stand.totals()
    report(
        {
            "jobs": len(wanted),
            "deaths": crew.kills,
            "lost": 0,
            "succeeded, by attempts": dict(sorted(attempts.items())),
            "dead-lettered after three attempts": len(ends.dead),
            "results of stale leases refused": totals.get("lease_losses", 0),
            "leases that ran out": totals.get("job_retries_interactive", 0),
            "records, each once": len(ends.succeeded),
            "seconds under fire": round(killed - began, 1),
            "seconds after it until all had ended": round(done - killed, 1),
        }
    )


def under_fire(stand: ChaosStand, crew: Crew, size: Size) -> dict[str, int]:
    """Submit all jobs, and let workers die meanwhile; return the number of each job."""
    rng = random.Random(_SEED)
    wanted: dict[str, int] = {}
    acts = plan(size)
    seconds = _WORKERS * _WORK_SECONDS * len(acts) / size.jobs
    for done, act in enumerate(acts, 1):
        numbers = range(len(wanted), max(len(wanted), size.jobs * done // len(acts)))
        wanted |= dict(zip(stand.add_jobs(numbers, seconds), numbers, strict=True))
        time.sleep(rng.uniform(0.1, 1))
        if act == "stop_publish_kill":
            evidence.wait_ended(stand, size.seconds)
            id = crew.stop_publish_kill(rng.randrange(_WORKERS), len(wanted))
            wanted[id] = len(wanted)
        else:
            crew.die(act)
    return wanted


def plan(size: Size) -> list[str]:
    """Return how who dies, in this order, with the pauses in even distances."""
    acts = list(itertools.islice(itertools.cycle(_DEATHS), size.deaths))
    for i in range(size.pauses):
        acts.insert((i + 1) * len(acts) // (size.pauses + 1), "pause")
    return acts


def test_a_message_that_dies_with_its_worker(make_stand: MakeStand, form: str) -> None:
    """STOP, publish, KILL: Celery alone loses each of these, whatever its settings."""
    stand = make_stand()
    stand.beat()
    crew = Crew(stand, 1, _SEED)
    died, made, wanted = 0, 0, 2 if form == "short" else 6
    while died < wanted:
        assert made < 10 * wanted, "the worker was never listening when it stopped"
        with stand.client() as redis:
            # The one before was acknowledged: nothing keeps the worker from taking the next.
            wait(lambda redis=redis: redis.hlen("unacked") == 0)
            id = crew.stop_publish_kill(0, made)
            made += 1
            # It is nowhere any more: neither waiting nor noted as unacknowledged.
            nowhere = redis.llen(INTERACTIVE) == redis.hlen("unacked") == 0
        died += nowhere and stand.job(id).state == QUEUED
        assert stand.wait_state(id, SUCCEEDED).attempts == 1
    assert evidence.records_anywhere(stand).total() == made
