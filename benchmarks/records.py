"""What it costs to have every prediction on record, and how fast the records get to MLflow.

    python -m benchmarks.records                 # everything; shipping alone takes some ten minutes
    python -m benchmarks.records --quick         # a tenth of it, for a look
    python -m benchmarks.records --only serving  # or shipping
    python -m benchmarks.records --journal       # ways to write a record down; the folder's disk

Serving: three gateways with the same model of 20 numbers, without records, with them, and with a
shipper at work beside it, asked in turn over 32 connections and over one (`records_serving.py`).
The server has one core; the client has another, and shares it with the shipper and MLflow
(`--no-pin`: all as the system likes). Shipping: a backlog that the journal's own writer made, into
a stock MLflow server, beside what a run per prediction costs it (`records_shipping.py`).

Results are written to standard output as Markdown, all else to standard error. Exit code 1 with
`--check` if the bar is not met, or a part of it was not measured.
"""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.console import Console

from benchmarks import records_journal, records_report, records_serving, records_shipping
from benchmarks.peers import report
from benchmarks.peers.model import train
from benchmarks.peers.results import Claim
from benchmarks.records_serving import Sample
from benchmarks.records_shipping import Shipping

_err = Console(stderr=True, highlight=False)


def main() -> int:
    """Measure, print, compare."""
    given = _arguments()
    signal.signal(signal.SIGTERM, _terminated)
    _err.print(f"machine: {report.machine()}", soft_wrap=True)
    with tempfile.TemporaryDirectory(prefix="slipway-records-", dir=given.folder) as scratch:
        folder = Path(scratch)
        if given.journal:
            count = 20_000 if given.quick else 100_000
            print(records_journal.table(records_journal.compare(folder, count)))
            return 0
        samples = _serve(folder, given) if given.only != "shipping" else []
        shipped = _ship(folder, given) if given.only != "serving" else None
    claims = records_report.bar(samples, shipped)
    print(records_report.markdown(samples, shipped, claims))
    if given.json is not None:
        _write(given.json, samples, shipped, claims)
    return 1 if given.check and not all(claim.holds for claim in claims) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="short, for a look")
    add("--check", action="store_true", help="exit code 1 if the bar is not met")
    add("--only", choices=("serving", "shipping"), help="one of the two parts")
    add("--journal", action="store_true", help="only compare ways to write a record down")
    add("--rounds", type=int, choices=range(1, 51), metavar="N", help="of serving (21)")
    add("--seconds", type=float, default=2.0, help="of each measurement (2)")
    add("--backlog", type=int, help="predictions to catch up with (100000)")
    add("--no-pin", dest="pin", action="store_false", help="no core of one's own for the server")
    add("--folder", type=Path, help="where temporary files go (as the system likes)")
    add("--json", type=Path, metavar="FILE", help="write every figure")
    return parser.parse_args()


def _serve(folder: Path, given: argparse.Namespace) -> list[Sample]:
    place = folder / "serving"
    place.mkdir()
    with _err.status("training the model"):
        trained = train(place, [], Path())
    return records_serving.measure(
        trained,
        place,
        rounds=given.rounds or (3 if given.quick else 21),
        seconds=1.0 if given.quick else given.seconds,
        pin=given.pin,
        tell=_tell,
    )


def _ship(folder: Path, given: argparse.Namespace) -> Shipping:
    backlog = given.backlog or (10_000 if given.quick else 100_000)
    return records_shipping.measure(folder / "shipping", backlog, backlog // 5, _tell)


def _tell(text: str) -> None:
    _err.print(text, soft_wrap=True, markup=False)


def _write(
    file: Path, samples: Sequence[Sample], shipped: Shipping | None, claims: Sequence[Claim]
) -> None:
    content = {
        "machine": report.machine(),
        "serving": [asdict(sample) for sample in samples],
        "shipping": asdict(shipped) if shipped else None,
        "bar": [asdict(claim) for claim in claims],
    }
    file.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    """End as Ctrl-C does, so that every process is ended too."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
