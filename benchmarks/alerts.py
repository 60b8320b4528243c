"""How long it takes from a fault until somebody is told: everything real, no time shortened.

`python -m benchmarks.alerts` runs Slipway with all its parts, and `slipway monitor` beside it: the
rules, the intervals and the routing that are in `monitoring/`, and a webhook that receives. Then it
breaks one thing after the other. Takes about half an hour; `--faults worker,mlflow` takes less.
"""

import argparse
import os
import platform
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import httpx

from benchmarks.alerts_faults import FAULTS, Fault
from benchmarks.alerts_load import Load
from benchmarks.alerts_stand import Stand

_QUIET_SECONDS = 240.0
_SETTLE_SECONDS = 60.0
_FIRE_SECONDS = 900.0
_RESOLVE_SECONDS = 900.0
_LOOK_SECONDS = 0.5
_DISK = "2g"


class Watch(threading.Thread):
    """Looks at Prometheus all the time, and keeps when it first saw each state of each alert."""

    def __init__(self, stand: Stand) -> None:
        super().__init__(daemon=True)
        self._client = httpx.Client(base_url=stand.prometheus.base_url, trust_env=False, timeout=10)
        self._ending = threading.Event()
        self._now: set[tuple[str, frozenset[tuple[str, str]]]] = set()
        self.seen: list[tuple[float, str, dict[str, str]]] = []

    def run(self) -> None:
        """Go on until it is stopped."""
        while not self._ending.wait(_LOOK_SECONDS):
            with suppress(httpx.HTTPError):
                self._look()

    def stop(self) -> None:
        """End it."""
        self._ending.set()
        self.join(30)
        self._client.close()

    def first(self, state: str, labels: Mapping[str, str], since: float) -> float | None:
        """Return when an alert was first seen in a state, from a Unix time on."""
        for moment, found, all_labels in self.seen:
            if moment >= since and found == state and labels.items() <= all_labels.items():
                return moment
        return None

    def _look(self) -> None:
        alerts = self._client.get("/api/v1/alerts").json()["data"]["alerts"]
        moment = time.time()
        now = {(one["state"], frozenset(one["labels"].items())) for one in alerts}
        for state, labels in now - self._now:
            self.seen.append((moment, state, dict(labels)))
        self._now = now


@dataclass
class Row:
    """What was measured of one alert of a fault; seconds after it, and after its repair.

    Attributes:
        since, caused: when it began to be caused, and when that was done (Unix time).
        mending, repaired: the same of its repair.
    """

    fault: Fault
    labels: Mapping[str, str]
    muted: bool
    since: float = 0.0
    caused: float = 0.0
    mending: float = 0.0
    repaired: float = 0.0
    pending: float | None = None
    firing: float | None = None
    notified: float | None = None
    resolved: float | None = None

    @property
    def complete(self) -> bool:
        """Whether there is nothing more to wait for before the repair."""
        return self.firing is not None and (self.muted or self.notified is not None)


@dataclass
class Run:
    """One measurement: what is broken, and what came of it."""

    stand: Stand
    load: Load
    watch: Watch
    rows: list[Row] = field(default_factory=list)

    def group(self, faults: Sequence[Fault]) -> None:
        """Cause some faults, wait until all has been told, repair them, and wait a while."""
        rows = []
        for fault in faults:
            made = [Row(fault, labels, muted=False) for labels in fault.alerts]
            made += [Row(fault, labels, muted=True) for labels in fault.muted]
            since = time.time()
            fault.cause(self.stand, self.load)
            for row in made:
                row.since, row.caused = since, time.time()
            rows += made
            _say(f"caused: {fault.words}")
        self.rows += rows
        self._wait(_FIRE_SECONDS, lambda: all(row.complete for row in rows))
        for fault in faults:
            begun = time.time()
            fault.repair(self.stand, self.load)
            for row in rows:
                if row.fault is fault:
                    row.mending, row.repaired = begun, time.time()
            _say(f"repaired: {fault.words}")

    def finish(self, seconds: float = _RESOLVE_SECONDS) -> None:
        """Wait until everybody has been told that all is well again."""
        told = [row for row in self.rows if not row.muted and row.notified is not None]
        self._wait(seconds, lambda: all(row.resolved is not None for row in told))

    def _wait(self, seconds: float, enough: Callable[[], bool]) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.update()
            if enough():
                return
            time.sleep(_LOOK_SECONDS)

    def update(self) -> None:
        """Fill in what is known by now."""
        for row in self.rows:
            before = (row.pending, row.firing, row.notified, row.resolved)
            first, notice = self.watch.first, self._notice
            row.pending = _after(first("pending", row.labels, row.since), row.caused)
            row.firing = _after(first("firing", row.labels, row.since), row.caused)
            row.notified = _after(notice("firing", row.labels, row.since), row.caused)
            if row.repaired:
                gone = self._notice("resolved", row.labels, row.mending)
                row.resolved = _after(gone, row.repaired)
            if before != (row.pending, row.firing, row.notified, row.resolved):
                _say(f"  {line(row)}")

    def _notice(self, status: str, labels: Mapping[str, str], since: float) -> float | None:
        for one in list(self.stand.receiver.notices):
            if one.time >= since and one.status == status and labels.items() <= one.labels.items():
                return one.time
        return None


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    names = [fault.name for fault in FAULTS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", default=",".join(names), help=f"of {', '.join(names)}")
    parser.add_argument("--out", type=Path, help="file that takes the table too")
    given = parser.parse_args(arguments)
    wanted = [fault for fault in FAULTS if fault.name in given.faults.split(",")]
    with tempfile.TemporaryDirectory(prefix="slipway-alerts-") as name, _disk(name) as data:
        _on_stand(Path(name), data, wanted, given.out)


def _on_stand(folder: Path, data: Path, wanted: Sequence[Fault], out: Path | None) -> None:
    with Stand(folder, data) as stand:
        stand.start(_say)
        load, watch = Load(stand), Watch(stand)
        watch.start()
        try:
            _measure(Run(stand, load, watch), wanted, out)
        finally:
            load.stop()
            watch.stop()


def _measure(run: Run, wanted: Sequence[Fault], out: Path | None) -> None:
    _say(f"all is well for {_QUIET_SECONDS:g} s")
    time.sleep(_QUIET_SECONDS)
    false = {labels["alertname"] for _, _, labels in run.watch.seen} - {"Watchdog"}
    _say(f"alerts before the first fault: {', '.join(sorted(false)) or 'none'}")
    for group in sorted({fault.group for fault in wanted}):
        run.group([fault for fault in wanted if fault.group == group])
        _keep(run, out)
        time.sleep(_SETTLE_SECONDS)
    run.finish()
    _keep(run, out)
    print(report(run))


def _keep(run: Run, out: Path | None) -> None:
    if out is not None:
        run.update()
        out.write_text(report(run), encoding="utf-8")


def report(run: Run) -> str:
    """Return the table as Markdown."""
    lines = [
        f"Measured {time.strftime('%Y-%m-%d')} on {_machine()}; {_version('prometheus')},"
        f" {_version('prometheus-alertmanager')}.",
        "Seconds after the fault; resolved: after its repair.",
        "",
        "| fault | alert | pending | firing | notified | resolved |",
        "|---|---|---|---|---|---|",
        *(line(row) for row in run.rows),
        "",
    ]
    named = {row.labels["alertname"] for row in run.rows} | {"Watchdog"}
    others = sorted({labels["alertname"] for _, _, labels in run.watch.seen} - named)
    lines.append(f"Besides were pending or fired: {', '.join(others) or 'none'}.")
    beats = [
        one.time for one in run.stand.receiver.notices if one.labels["alertname"] == "Watchdog"
    ]
    gaps = [later - sooner for sooner, later in pairwise(beats)]
    if gaps:
        lines.append(
            f"Watchdog: {len(beats)} messages, {min(gaps):.0f} to {max(gaps):.0f} s apart."
        )
    lines.append(f"Requests answered with 5xx: {run.load.failed}.")
    return "\n".join(lines) + "\n"


def line(row: Row) -> str:
    """Return a row of the table."""
    labels = ", ".join(f"{key}={value}" for key, value in row.labels.items() if key != "alertname")
    alert = f"{row.labels['alertname']}{f' ({labels})' if labels else ''}"
    notified = "muted" if row.muted and row.notified is None else _seconds(row.notified)
    # Where `for` is 0 it fires at once.
    pending = _seconds(row.firing if row.pending is None else row.pending)
    figures = f"{pending} | {_seconds(row.firing)} | {notified} | {_seconds(row.resolved)}"
    return f"| {row.fault.words} | {alert} | {figures} |"


def _after(moment: float | None, since: float) -> float | None:
    return None if moment is None else max(0.0, moment - since)


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


@contextmanager
def _disk(folder: str) -> Iterator[Path]:
    """Make a small disk for DATA_DIR; where nobody may mount one, a folder."""
    data = Path(folder, "data")
    data.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "alerts", str(data)]
    mounted = os.geteuid() == 0 and subprocess.run(command, check=False).returncode == 0
    try:
        yield data
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(data)], check=True)


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}"


def _version(program: str) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return " ".join((done.stdout + done.stderr).split()[:3]).replace(", version", "")


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    main()
