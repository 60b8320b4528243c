"""Redis is killed while jobs are submitted: whatever was answered with 202 is done.

The short form kills it 3 times, the whole of it 20 times (`long`: 50), see `test_workers_die.py`.
"""

import random
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.chaos.jobs import evidence
from tests.chaos.jobs.conftest import MakeStand
from tests.chaos.jobs.crew import ChaosStand
from tests.chaos.jobs.posting import Posting, Said, post
from tests.support.jobs_stand import wait
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.slow

_KILLS = {"short": 3, "full": 20, "long": 50}
_SEED = 7
_BOUND = 40
# Within which everything flows again, once Redis is back.
_FLOWS = 30.0


def test_redis_dies(
    make_stand: MakeStand, form: str, report: Callable[[dict[str, Any]], None]
) -> None:
    stand = make_stand(job_max_unpublished=_BOUND)
    stand.beat()
    stand.worker()
    gateway = stand.gateway()
    rng = random.Random(_SEED)
    posting = Posting(gateway.url)
    posting.start()
    try:
        for _ in range(_KILLS[form]):
            time.sleep(rng.uniform(0.3, 1.5))
            stand.redis.kill()
            time.sleep(rng.uniform(0, 1))
            stand.redis.start()
        waited, flowed = until_the_bound(stand, gateway.url, posting.said)
    finally:
        said = posting.stop()
    evidence.wait_ended(stand, PATIENCE)
    check(said)
    ends = evidence.check_ends(stand, said.accepted)
    assert evidence.records_anywhere(stand) == dict.fromkeys(ends.succeeded, 1)
    assert not ends.dead
    report(
        {
            "kills of Redis": _KILLS[form] + 1,
            "answered 202, all of them ended": len(said.accepted),
            "answered 503 with Retry-After": said.statuses()[503],
            "no answer": said.broken,
            f"accepted while it was away (at most {_BOUND})": waited,
            "seconds until all of these had ended": round(flowed, 1),
        }
    )


def until_the_bound(stand: ChaosStand, url: str, said: Said) -> tuple[int, float]:
    """Keep Redis away until nothing more is accepted, and see everything flow when it is back.

    Returns:
        how many were accepted while it was away, and the seconds until these had ended.
    """
    # What was left over from before has gone.
    wait(lambda: evidence.unpublished(stand) < _BOUND / 4)
    stand.redis.kill()
    before, refused = set(said.accepted), len(said.refused)
    wait(lambda: len(said.refused) > refused + 20)
    refusal(url)
    known = set(said.accepted)
    waited = len(known - before)
    assert waited > 0
    assert evidence.unpublished(stand) <= _BOUND
    stand.redis.start()
    returned = time.monotonic()
    wait(lambda: known.isdisjoint(evidence.open_jobs(stand)), _FLOWS)
    flowed = time.monotonic() - returned
    wait(lambda: len(said.accepted) > len(known) + 10)
    return waited, flowed


def refusal(url: str) -> None:
    """See that a refusal says what is wrong, and when to come again."""
    with httpx.Client(base_url=url, timeout=PATIENCE) as client:
        answer = post(client, {"do": "echo"})
    assert answer.status_code == 503
    assert answer.json()["error"]["where"] == "JOB_MAX_UNPUBLISHED"
    assert int(answer.headers["Retry-After"]) >= 1


def check(said: Said) -> None:
    """See that nobody was answered anything else, and that every refusal was a proper one."""
    assert said.broken == 0
    assert set(said.statuses()) <= {503}
    assert all(int(one.headers["Retry-After"]) >= 1 for one in said.refused)
    # Redis is nobody's business who only submits: to wait for it would show.
    assert max(one.elapsed.total_seconds() for one in said.refused) < 10
