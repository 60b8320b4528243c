"""What metrics cost: a scrape, and of the throughput.

    python -m benchmarks.metrics [--rounds 7] [--seconds 2] [--check]

*Scrape*: a folder of `--processes` real processes, each with 80 routes and six models of
two versions, read and rendered as the gateway does it, in turn with the client library's own reader
and writer, and with the metrics of one process in memory. Milliseconds of processor time, medians.

*Throughput*: three real gateways with a small model, asked in turn by `benchmarks.load` over 32
connections: one that records nothing (its metrics are replaced by nothing), one that keeps them
in memory, one that shares them with others. Each round starts with another of them. Medians, and
the median of the rounds' own ratios to the first: of requests a second, and of the server's
processor time a request, which is what counts where the machine is busy with other things.

`--check`: exit code 1 unless a scrape takes at most 50 ms and recording at most 5 %.
"""

import argparse
import json
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks.load import MARK, Target
from benchmarks.metrics_scrape import measure_scrapes
from benchmarks.metrics_serving import ARMS, Arm
from benchmarks.peers import cores
from benchmarks.peers.client import Client

_SCRAPE_MS = 50.0
_SHARE = 0.05
_CONNECTIONS = 32
_BODY = json.dumps({"features": [1234567, *range(1, 20)]})


def main() -> int:
    """Measure; print two tables."""
    given = _arguments()
    with tempfile.TemporaryDirectory(prefix="slipway-metrics-") as scratch:
        folder = Path(scratch)
        scrapes = measure_scrapes(folder / "scrape", given.processes, given.scrapes)
        for name, (milliseconds, series) in scrapes.items():
            print(f"scrape  {name:34} {milliseconds:8.1f} ms  {series:6d} series", flush=True)
        ratios = _throughput(folder, given) if given.rounds else {}
    held = scrapes["slipway, several processes"][0] <= _SCRAPE_MS
    held = held and all(ratio >= 1 - _SHARE for ratio in ratios.values())
    return 0 if held or not given.check else 1


def _throughput(folder: Path, given: argparse.Namespace) -> dict[str, float]:
    share = cores.split(given.pin)
    client = Client(folder, share)
    found: dict[str, list[Sample]] = {name: [] for name in ARMS}
    with ExitStack() as stack:
        arms = {name: Arm(name, folder / name, share) for name in ARMS}
        for arm in arms.values():
            stack.enter_context(arm)
        for arm in arms.values():
            client.closed(_target(arm), _CONNECTIONS, 1.0)
        for number in range(given.rounds):
            order = [*ARMS[number % len(ARMS) :], *ARMS[: number % len(ARMS)]]
            for name in order:
                found[name].append(_sample(client, arms[name], given.seconds))
    return _report(found)


class Sample(NamedTuple):
    """Requests a second, and the server's processor microseconds for one."""

    rate: float
    micros: float


def _sample(client: Client, arm: Arm, seconds: float) -> Sample:
    before = arm.used()
    found = client.closed(_target(arm), _CONNECTIONS, seconds)
    if found.errors:
        raise SystemExit(f"{arm.name}: {found.errors} errors")
    return Sample(found.rate, 1e6 * (arm.used() - before) / found.requests)


def _target(arm: Arm) -> Target:
    # A number in JSON does not begin with a zero.
    return Target(arm.port, arm.path, _BODY, first=10 ** (len(MARK) - 1))


def _report(found: dict[str, list[Sample]]) -> dict[str, float]:
    """Print the table; return how much of its work each does beside the first."""
    costs: dict[str, float] = {}
    bare = found[ARMS[0]]
    for name, samples in found.items():
        pairs = list(zip(samples, bare, strict=True))
        speed = statistics.median(one.rate / other.rate for one, other in pairs)
        costs[name] = statistics.median(other.micros / one.micros for one, other in pairs)
        rate = statistics.median(one.rate for one in samples)
        micros = statistics.median(one.micros for one in samples)
        print(
            f"serving {name:10} {rate:7.0f} requests/s  ratio {speed:5.3f}"
            f"   CPU {micros:6.0f} us/request  ratio {costs[name]:5.3f}"
        )
    return costs


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--rounds", type=int, default=7, help="of the throughput; 0: none of it (7)")
    add("--seconds", type=float, default=2.0, help="of each measurement (2)")
    add("--processes", type=int, default=8, help="that share the folder (8)")
    add("--scrapes", type=int, default=15, help="of each reader (15)")
    add("--no-pin", dest="pin", action="store_false", help="no core of one's own for the server")
    add("--check", action="store_true", help="exit code 1 if the bar is not met")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
