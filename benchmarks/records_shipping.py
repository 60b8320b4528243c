"""How fast a backlog gets into a stock MLflow server: as Parquet, as traces, and by default.

The journal is written by the gateway's own writer; then come a server (one worker, SQLite) and a
shipper, each a process of its own, as nice as in production. Times begin when the shipper says
that it is at work, and end when its status says that all is done; it is written once a second.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import orjson
import psutil

from benchmarks.records_journal import payload
from benchmarks.records_serving import shipping
from services.core.ids import new_id
from services.core.settings import Settings
from services.ledger.journal import Journal
from services.ledger.places import Places
from tests.support.mlflow_server import MlflowServer

_LONGEST_SECONDS = 1800.0
_LOOK_SECONDS = 0.05
# So that a rate of so many a second is no limit.
_UNLIMITED = {"LEDGER_TRACE_RATE": 10_000, "LEDGER_TRACE_LAG": 86_400}


@dataclass(frozen=True, slots=True)
class Shipped:
    """What became of a backlog.

    Attributes:
        records: in the journal.
        parquet_seconds: until all were in Parquet parts.
        traces_seconds: until the last trace was sent.
        sent, thinned: traces.
        server_cpu: seconds of processor time that the server spent.
        shipper_cpu: and the shipper.
    """

    name: str
    records: int
    parquet_seconds: float
    traces_seconds: float
    sent: int
    thinned: int
    server_cpu: float
    shipper_cpu: float

    @property
    def rows_rate(self) -> float:
        """Predictions a second, as Parquet."""
        return self.records / self.parquet_seconds

    @property
    def traces_rate(self) -> float:
        """Traces a second."""
        return self.sent / self.traces_seconds

    @property
    def traces_per_core(self) -> float:
        """Traces for each second of the server's processor time."""
        return self.sent / self.server_cpu


def measure(folder: Path, backlog: int, traces: int, tell: Callable[[str], None]) -> list[Shipped]:
    """Ship a backlog without traces, another one with all of them, and one by default."""
    plans: list[tuple[str, int, dict[str, Any]]] = [
        ("Parquet alone", backlog, {"LEDGER_TRACE_RATE": 0, "LEDGER_LOW_CONFIDENCE": 0}),
        ("every trace", traces, _UNLIMITED),
        ("settings as they come", backlog, {}),
    ]
    found = []
    for number, (name, records, settings) in enumerate(plans):
        tell(f"shipping {records:,} predictions: {name}")
        place = folder / str(number)
        prepare(place / "data", records)
        found.append(_ship(name, place, records, settings))
        tell(f"  {found[-1]}")
    return found


def prepare(data: Path, count: int) -> None:
    """Write a journal, as a gateway would have in a quarter of an hour."""
    data.mkdir(parents=True)
    settings = Settings(_env_file=None, data_dir=data, ledger_max_bytes=8 * 1024**3)
    chance = Random(0)
    record = orjson.loads(payload())
    journal = Journal(settings)
    try:
        for number in range(count):
            record["id"] = new_id()
            record["time"] = time.time()
            record["input"] = {"features": [chance.gauss(0, 1) for _ in range(20)]}
            record["confidence"] = 0.5 + 0.5 * chance.random()
            record["seconds"] = chance.expovariate(1000)
            record["request_id"] = f"request-{number}"
            journal.append(orjson.dumps(record))
    finally:
        journal.close()


def _ship(name: str, folder: Path, records: int, settings: dict[str, Any]) -> Shipped:
    data, log = folder / "data", folder / "shipper.log"
    ended: dict[str, float] = {}

    def done(status: dict[str, Any]) -> bool:
        now = time.monotonic()
        if status["rows_stored"] >= records:
            ended.setdefault("parquet", now)
        if status["traces_sent"] + status["traces_thinned"] >= records:
            ended.setdefault("traces", now)
        return len(ended) == 2

    with (
        _server(folder / "mlflow") as mlflow,
        shipping(data, mlflow.uri, log, **settings) as process,
    ):
        _wait(data, lambda status: status["pid"] == process.pid)
        before, started = _cpu(mlflow), time.monotonic()
        status = _wait(data, done)
        return Shipped(
            name,
            records,
            parquet_seconds=ended["parquet"] - started,
            traces_seconds=ended["traces"] - started,
            sent=status["traces_sent"],
            thinned=status["traces_thinned"],
            server_cpu=_cpu(mlflow) - before,
            shipper_cpu=_spent(psutil.Process(process.pid)),
        )


@contextmanager
def _server(folder: Path) -> Iterator[MlflowServer]:
    server = MlflowServer(folder)
    try:
        yield server
    finally:
        server.stop()


def _wait(data: Path, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Look at the shipper's status until it is as it should be; return it."""
    until = time.monotonic() + _LONGEST_SECONDS
    while True:
        status: dict[str, Any] = {}
        with suppress(FileNotFoundError):
            status = json.loads(Places(data).status.read_text(encoding="utf-8"))
        if status and condition(status):
            return status
        if time.monotonic() > until:
            raise TimeoutError(f"the shipper does not get there: {status}")
        time.sleep(_LOOK_SECONDS)


def _cpu(mlflow: MlflowServer) -> float:
    """Return the processor time of a server and its workers."""
    found = 0.0
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if str(mlflow.port) in process.cmdline() or _below(process, mlflow.port):
                found += _spent(process)
    return found


def _below(process: psutil.Process, port: int) -> bool:
    return any(str(port) in parent.cmdline() for parent in process.parents())


def _spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
