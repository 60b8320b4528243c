"""The comparison of the queue's benchmark, and the whole of it in small."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.jobs_report import BARE, INSIDE, SLIPWAY, Many, One, Results, bar, markdown
from tests.support.server import ROOT


def many(arm: str, number: int, rate: float) -> Many:
    return Many(arm, number, 1000, 1000 / rate, {"caller": 900.0, "worker": 1e6 / rate})


def one(arm: str, number: int, ms: float) -> One:
    return One(arm, number, sorted([ms] * 99 + [10 * ms]))


GOOD = Results(
    many=[*(many(BARE, i, 300) for i in range(3)), *(many(SLIPWAY, i, 180) for i in range(3))],
    one=[
        *(one(INSIDE, i, 0.5) for i in range(3)),
        *(one(BARE, i, 3) for i in range(3)),
        *(one(SLIPWAY, i, 12.5) for i in range(3)),
    ],
)


def test_the_bar_is_met() -> None:
    claims = bar(GOOD)
    assert [claim.holds for claim in claims] == [True, True]
    text = markdown(GOOD, claims)
    assert "| bare Celery | 300 | – | 900 | 3,333 |" in text
    assert "| Slipway's queue | 180 | 0.60 | 900 | 5,556 |" in text
    assert "| in the process itself | 0.50 | 5.00 | – | – |" in text
    assert "| Slipway's queue | 12.50 | 125.00 | +12.00 | +120.00 |" in text
    assert "- met: p50 of one job at a time at most 25 ms more than without a queue: 12.0" in text


def test_each_part_can_fail_alone() -> None:
    slow = [many(BARE, 0, 300), many(SLIPWAY, 0, 149)]
    assert [claim.holds for claim in bar(Results(slow, GOOD.one))] == [False, True]
    late = [one(INSIDE, 0, 1), one(SLIPWAY, 0, 26.1)]
    assert [claim.holds for claim in bar(Results(GOOD.many, late))] == [True, False]


def test_what_was_not_measured_is_not_met() -> None:
    assert [claim.holds for claim in bar(Results([], []))] == [None, None]
    alone = Results([many(SLIPWAY, 0, 180)], [one(SLIPWAY, 0, 1)])
    assert [claim.holds for claim in bar(alone)] == [None, None]


def test_each_round_is_compared_with_itself() -> None:
    """The machine was a third as fast in one round: that is no fault of the queue."""
    rounds = [many(BARE, 0, 300), many(BARE, 1, 100), many(BARE, 2, 300)]
    rounds += [many(SLIPWAY, 0, 180), many(SLIPWAY, 1, 60), many(SLIPWAY, 2, 180)]
    ratio = Results(rounds, []).ratio()
    assert ratio is not None
    assert round(ratio, 3) == 0.6


@pytest.mark.slow
def test_the_whole_of_it(tmp_path: Path) -> None:
    """Every process starts, every job is done and seen, and all has ended afterwards."""
    command = [sys.executable, "-m", "benchmarks.jobs", "--folder", str(tmp_path)]
    done = subprocess.run(
        [*command, "--jobs", "40", "--singles", "5", "--rounds", "1", "--concurrency", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert f"| {SLIPWAY} |" in done.stdout
    assert "not measured" not in done.stdout
    assert not list(tmp_path.iterdir())
