"""What a durable job costs: Slipway's queue beside a bare Celery, on the same Redis.

    python -m benchmarks.jobs                 # some five minutes
    python -m benchmarks.jobs --quick         # a look
    python -m benchmarks.jobs --check         # exit code 1 if the bar is not met

A model that does nothing is asked through the queue: its caller submits, as a gateway does, and
waits for the result. Beside it Celery does as little, with the same pool, as many processes, the
same Redis, and its results in that Redis. Celery's jobs stand in memory and are lost with a worker;
Slipway's are committed before they are accepted, leased, ended in one transaction with their
record, and told. Both run at once, one of them is asked at a time, turn by turn.

Many: so many jobs at once, until the caller has seen all their results. One: a job at a time, and
the same prediction without any queue. Read the ratios: what else the machine does decides the rest.
Results are written to standard output as Markdown, all else to standard error.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import NoReturn

from benchmarks import jobs_arms
from benchmarks.jobs_arms import Arm
from benchmarks.jobs_processes import redis
from benchmarks.jobs_report import INSIDE, Many, One, Results, bar, markdown
from benchmarks.peers import report


def main() -> int:
    """Measure, print, compare."""
    given = _arguments()
    signal.signal(signal.SIGTERM, _terminated)
    _tell(f"machine: {report.machine()}")
    with tempfile.TemporaryDirectory(prefix="slipway-jobs-", dir=given.folder) as scratch:
        results = _measure(Path(scratch), given)
    claims = bar(results)
    print(markdown(results, claims))
    if given.json is not None:
        content = {"machine": report.machine(), **asdict(results)}
        given.json.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return 1 if given.check and not all(claim.holds for claim in claims) else 0


def _measure(folder: Path, given: argparse.Namespace) -> Results:
    rounds = given.rounds or (2 if given.quick else 7)
    many, one = (300, 50) if given.quick else (given.jobs, given.singles)
    results = Results([], [])
    with ExitStack() as stack:
        url, server = stack.enter_context(redis(folder / "redis"))
        place = folder / "queue"
        queue = stack.enter_context(jobs_arms.queue(url, server, place, given.concurrency))
        place = folder / "bare"
        bare = stack.enter_context(jobs_arms.bare(url, server, place, given.concurrency))
        inside = stack.enter_context(jobs_arms.inside(folder))
        arms: list[Arm] = [bare, queue, inside]
        for arm in arms:
            # A worker takes more at a time once it knows how quick a model is.
            arm.many(many // 3)
        for number in range(rounds):
            for arm in arms[number % 2 :] + arms[: number % 2]:
                _round(arm, number, many, one, results)
    return results


def _round(arm: Arm, number: int, many: int, one: int, results: Results) -> None:
    if arm.name != INSIDE:
        seconds, cpu = jobs_arms.spent(arm, many)
        found = Many(arm.name, number, many, seconds, cpu)
        results.many.append(found)
        parts = ", ".join(f"{name} {used:,.0f}" for name, used in cpu.items())
        said = f"{found.rate:,.0f}/s; CPU µs/job: {parts}"
        _tell(f"  round {number + 1}, {arm.name}: {said}; load {os.getloadavg()[0]:.1f}")
    times = One(arm.name, number, sorted(1e3 * arm.one() for _ in range(one)))
    results.one.append(times)
    said = f"p50 {times.quantile(0.5):.2f} ms, p99 {times.quantile(0.99):.2f} ms"
    _tell(f"  round {number + 1}, {arm.name}, one at a time: {said}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="short, for a look")
    add("--check", action="store_true", help="exit code 1 if the bar is not met")
    add("--rounds", type=int, choices=range(1, 51), metavar="N", help="of both in turn (7)")
    add("--jobs", type=int, default=2000, help="many (2000)")
    add("--singles", type=int, default=300, help="one after the other (300)")
    add("--concurrency", type=int, default=2, help="processes of either worker (2)")
    add("--folder", type=Path, help="where temporary files go (as the system likes)")
    add("--json", type=Path, metavar="FILE", help="write every figure")
    return parser.parse_args()


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    """End as Ctrl-C does, so that every process is ended too."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
