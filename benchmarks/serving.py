"""Slipway beside its peers: the same model of 20 numbers, one process each, on loopback.

    python -m benchmarks.serving --prepare            # once: the peers, 1.3 GB in .peers
    python -m benchmarks.serving --json results.json  # about 20 minutes
    python -m benchmarks.serving --peers litserve,fastapi,floor --seconds 2 --runs 1

Each round starts every contender in turn, checks its answers, lets it come to rest, warms it up,
measures it over 1, 32 and 256 connections and ends it. The figures are medians of the rounds, so
that what the machine does meanwhile hits all alike. Then comes an open loop: the rate of half of
what Slipway can do, and of four fifths of what the contender itself can do.

The server has one core and the client another (`--no-pin`: as the system likes). The load is made
by wrk where it is installed (Debian: apt install wrk), else by benchmarks.load; no two requests of
a measurement are alike, so that no cache answers. Peers that are not installed are left out.

Results are written to standard output as Markdown, all else to standard error. Exit code 1: Slipway
could not be measured, or `--check` was given and the bar is not met.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.console import Console

from benchmarks.peers import cores, environments, report
from benchmarks.peers.client import Client
from benchmarks.peers.contenders import ALL, Contender, choose
from benchmarks.peers.measure import Plan, Session
from benchmarks.peers.model import train
from benchmarks.peers.results import Claim, Results, bar

_LONGEST_SECONDS = 40.0
_MOST_CONNECTIONS = 1000
_err = Console(stderr=True, highlight=False)


def main() -> int:
    """Measure, print, compare."""
    given = _arguments()
    contenders: list[Contender] = given.peers
    if given.prepare:
        return _prepare(contenders, given.environments)
    signal.signal(signal.SIGTERM, _terminated)
    present = [c for c in contenders if _usable(c, given.environments)]
    before = report.machine()
    with tempfile.TemporaryDirectory(prefix="slipway-benchmark-") as scratch:
        folder = Path(scratch)
        share = cores.split(given.pin)
        client = Client(folder, share, own=given.own_client)
        _err.print(
            f"load: {client.name}; cores: {_words(share)}; machine: {before}", soft_wrap=True
        )
        with _err.status("training the model"):
            trained = train(folder, present, given.environments)
        plan = Plan(given.connections, given.seconds, given.runs, open_loop=given.open_loop)
        session = Session(plan, present, trained, client, given.environments, share, _err)
        results = session.go(folder)
    claims = bar(results)
    print(report.markdown(results, given.connections, claims))
    if given.json is not None:
        _write(given.json, results, claims, client, before, given)
    if results.line("slipway", given.connections[0]) is None:
        return 1
    return 1 if given.check and not all(claim.holds for claim in claims) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    names = ", ".join(contender.name for contender in ALL)
    add("--peers", type=_peers, default=list(ALL), help=f"only these beside Slipway, of: {names}")
    add("--seconds", type=_seconds, default=5.0, help="of each measurement (5)")
    add("--runs", type=int, default=3, choices=range(1, 21), metavar="N", help="rounds (3)")
    add("--connections", type=_counts, default=[1, 32, 256], help="1,32,256")
    add("--environments", type=Path, default=Path(".peers"), help="folder of the peers (.peers)")
    add("--prepare", action="store_true", help="only install the peers there")
    add("--json", type=Path, metavar="FILE", help="write every figure")
    add("--check", action="store_true", help="exit code 1 if the bar is not met")
    add("--no-pin", dest="pin", action="store_false", help="no core of one's own for the server")
    add("--no-open", dest="open_loop", action="store_false", help="closed loops only")
    add("--own-client", action="store_true", help="benchmarks.load even where there is wrk")
    return parser.parse_args()


def _peers(text: str) -> list[Contender]:
    try:
        return choose(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _seconds(text: str) -> float:
    value = float(text)
    if not 1 <= value <= _LONGEST_SECONDS:
        raise argparse.ArgumentTypeError(f"expected 1 to {_LONGEST_SECONDS:g}")
    return value


def _counts(text: str) -> list[int]:
    counts = [int(part) for part in text.split(",")]
    if not all(1 <= count <= _MOST_CONNECTIONS for count in counts):
        raise argparse.ArgumentTypeError(f"expected 1 to {_MOST_CONNECTIONS}, commas between")
    return counts


def _prepare(contenders: Sequence[Contender], folder: Path) -> int:
    wanted = {contender.environment for contender in contenders}
    for name in environments.names():
        if name not in wanted:
            continue
        with _err.status(f"installing {name}"):
            try:
                made = environments.prepare(name, folder)
            except subprocess.CalledProcessError as error:
                _err.print(f"{name} cannot be installed: {error}")
                return 1
        _err.print(f"{name}: {environments.size(made) / 1e6:,.0f} MB in {made}")
    return 0


def _usable(contender: Contender, folder: Path) -> bool:
    if contender.environment is None:
        return True
    reason = environments.state(contender.environment, folder)
    if reason is not None:
        _err.print(f"left out: {contender.label}, {reason} (--prepare installs it)")
    return reason is None


def _words(share: cores.Cores) -> str:
    if share.server is None or share.client is None:
        return "as the system likes"
    return f"server {sorted(share.server)}, client {sorted(share.client)}"


def _write(
    file: Path,
    results: Results,
    claims: Sequence[Claim],
    client: Client,
    before: Mapping[str, object],
    given: argparse.Namespace,
) -> None:
    content = {
        "machine": {**before, "load_after": report.machine()["load"]},
        "client": client.name,
        "seconds": given.seconds,
        "runs": given.runs,
        "pinned": given.pin,
        "contenders": {
            c.name: {
                "label": c.label,
                "role": c.role,
                "versions": environments.versions(c.environment),
            }
            for c in results.contenders
        },
        "closed": [sample.as_json() for sample in results.closed],
        "open": [sample.as_json() for sample in results.open],
        "bar": [asdict(claim) for claim in claims],
    }
    file.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    """End as Ctrl-C does, so that every server is ended too."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
