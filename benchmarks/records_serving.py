"""What records cost the gateway: the same server with them and without, turn by turn.

All servers run at once and only one is asked at a time, so that what the machine does meanwhile
hits all alike; what is compared are the medians of the rounds' own ratios. The third server has
a shipper beside it, niced as `slipway run` has it, and a stock MLflow server to ship to: both share
the client's core, and are stopped (SIGSTOP) while another server is asked.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from statistics import median

from benchmarks.load import Measured, Target
from benchmarks.peers import cores
from benchmarks.peers.client import Client
from benchmarks.peers.contenders import ALL, ROOT, Contender, Place
from benchmarks.peers.model import Trained
from benchmarks.peers.server import Server, running
from services.core.embedded import database_uri
from services.core.settings import Settings
from tests.support.mlflow_server import MlflowServer

OFF, ON, SHIPPED = "records off", "records on", "records on, and shipped meanwhile"
MANY, ONE = 32, 1
_NICENESS = 10
_STEP = 1_000_000
# Two processes of the same server differ by up to a tenth, for as long as they live.
_LIVES = 3
_WARM_SECONDS = 1.0
_STOP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement; `cpu` in µs of the server's processor time for each answer."""

    arm: str
    connections: int
    round: int
    measured: Measured
    cpu: float


@dataclass(frozen=True, slots=True)
class Line:
    """Medians of the rounds of one server; `ratio` and `added` (ms) against the one without."""

    arm: str
    rate: float
    p50: float
    p99: float
    cpu: float
    errors: int
    ratio: float
    added: float


def lines(samples: Sequence[Sample], connections: int) -> list[Line]:
    """Return the medians, and those of the comparisons within each round."""
    chosen = [sample for sample in samples if sample.connections == connections]
    base = {sample.round: sample.measured for sample in chosen if sample.arm == OFF}
    found = []
    for arm in (OFF, ON, SHIPPED):
        of_arm = [sample for sample in chosen if sample.arm == arm]
        if not of_arm:
            continue
        found.append(
            Line(
                arm,
                rate=median(s.measured.rate for s in of_arm),
                p50=median(s.measured.p50 for s in of_arm),
                p99=median(s.measured.p99 for s in of_arm),
                cpu=median(s.cpu for s in of_arm),
                errors=sum(s.measured.errors for s in of_arm),
                ratio=median(s.measured.rate / base[s.round].rate for s in of_arm),
                added=median(s.measured.p50 - base[s.round].p50 for s in of_arm),
            )
        )
    return found


def measure(
    trained: Trained,
    folder: Path,
    *,
    rounds: int,
    seconds: float,
    pin: bool,
    tell: Callable[[str], None],
) -> list[Sample]:
    """Start all servers and ask them in turn; and again from the start, with new processes."""
    share = cores.split(pin)
    client = Client(folder, share)
    samples: list[Sample] = []
    lives = min(_LIVES, rounds)
    for life in range(lives):
        numbers = range(life * rounds // lives, (life + 1) * rounds // lives)
        with _started(trained, share, client, folder / f"life-{life + 1}") as (arms, shipper):
            for number in numbers:
                samples += _round(arms, shipper, number, seconds, tell)
    return samples


@contextmanager
def _started(
    trained: Trained, share: cores.Cores, client: Client, folder: Path
) -> "Iterator[tuple[list[Arm], Shipper]]":
    with ExitStack() as stack:
        arms = [
            Arm(name, stack.enter_context(_server(name, trained, share, folder)), client, trained)
            for name in (OFF, ON, SHIPPED)
        ]
        with cores.on(share.client):
            # What they start keeps these cores.
            shipper = stack.enter_context(_shipper(arms[-1].server.place, folder))
        for arm in arms:
            arm.ask(MANY, _WARM_SECONDS)
        yield arms, shipper


def _round(
    arms: "Sequence[Arm]",
    shipper: "Shipper",
    number: int,
    seconds: float,
    tell: Callable[[str], None],
) -> list[Sample]:
    samples = []
    start = number % len(arms)
    for arm in (*arms[start:], *arms[:start]):
        with shipper.going() if arm.name == SHIPPED else ExitStack():
            for connections in (MANY, ONE):
                sample = arm.sample(connections, number, seconds)
                samples.append(sample)
                tell(_words(sample))
    return samples


class Arm:
    """One of the servers, and what it is asked; never the same twice."""

    def __init__(self, name: str, server: Server, client: Client, trained: Trained) -> None:
        self.name = name
        self.server = server
        self._client = client
        self._body = trained.body(server.contender)
        self._firsts = count(step=_STEP)

    def ask(self, connections: int, seconds: float) -> Measured:
        """Measure a closed loop."""
        place, path = self.server.place, self.server.contender.path
        target = Target(place.port, path, self._body, next(self._firsts))
        return self._client.closed(target, connections, seconds)

    def sample(self, connections: int, number: int, seconds: float) -> Sample:
        """Measure, and what the server spent on it."""
        before = self.server.cpu_seconds()
        found = self.ask(connections, seconds)
        spent = self.server.cpu_seconds() - before
        return Sample(self.name, connections, number, found, 1e6 * spent / max(1, found.requests))


class Shipper:
    """A shipper and its MLflow, which go only while they are wanted."""

    def __init__(self, process: "subprocess.Popen[bytes]", mlflow: MlflowServer) -> None:
        self.process = process
        self._mlflow = mlflow

    @contextmanager
    def going(self) -> Iterator[None]:
        """Let both go for the block."""
        self._mlflow.thaw()
        self.process.send_signal(signal.SIGCONT)
        try:
            yield
        finally:
            self.freeze()

    def freeze(self) -> None:
        """Stop both where they are."""
        self.process.send_signal(signal.SIGSTOP)
        self._mlflow.freeze()


@contextmanager
def _server(name: str, trained: Trained, share: cores.Cores, folder: Path) -> Iterator[Server]:
    def variables(place: Place) -> Mapping[str, str]:
        return {
            "PORT": str(place.port),
            "DATA_DIR": str(place.folder / "data"),
            "MLFLOW_TRACKING_URI": database_uri(place.models / "slipway"),
            "PYTHONPATH": str(ROOT),
            "LEDGER": str(name != OFF).lower(),
            "LEDGER_SHIPPER": "off",
        }

    contender: Contender = replace(ALL[0], label=name, variables=variables)
    place = folder / name.replace(" ", "-").replace(",", "")
    with running(contender, trained, Path(), share, place) as server:
        yield server


@contextmanager
def _shipper(place: Place, folder: Path) -> Iterator[Shipper]:
    mlflow = MlflowServer(folder / "mlflow")
    try:
        with shipping(place.folder / "data", mlflow.uri, folder / "shipper.log") as process:
            shipper = Shipper(process, mlflow)
            shipper.freeze()
            try:
                yield shipper
            finally:
                process.send_signal(signal.SIGCONT)
    finally:
        mlflow.thaw()
        mlflow.stop()


@contextmanager
def shipping(
    data: Path, mlflow: str, log: Path, **settings: object
) -> "Iterator[subprocess.Popen[bytes]]":
    """Run a shipper for the block, as nice as in production."""
    values = {"DATA_DIR": data, "MLFLOW_TRACKING_URI": mlflow, "PYTHONPATH": ROOT, **settings}
    known = {name.upper() for name in Settings.model_fields}
    kept = {k: v for k, v in os.environ.items() if k not in known and not k.startswith("MLFLOW_")}
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.ledger"],
            cwd=data,
            env={**kept, **{name: str(value) for name, value in values.items()}},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _words(sample: Sample) -> str:
    found = sample.measured
    return (
        f"  round {sample.round + 1}, {sample.arm}, {sample.connections}: {found.rate:,.0f}/s, "
        f"p50 {found.p50:.2f} ms, p99 {found.p99:.2f} ms, {sample.cpu:,.0f} µs CPU"
        + (f", {found.errors} errors" if found.errors else "")
    )
