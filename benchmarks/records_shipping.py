"""How fast a backlog gets into a stock MLflow server: as Parquet, as traces with their usual
tags and with none, and by default.

Beside them, for comparison, a run per prediction, as people log predictions by hand.

The journal is written by the gateway's own writer; then come a server (one worker, SQLite) and a
shipper, each a process of its own, as nice as in production. Times begin when the shipper says
that it is at work, and end when its status says that all is done; it is written once a second.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
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
_RUNS = 60
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
    def trace_cpu(self) -> float:
        """Seconds of the server's processor time for each trace."""
        return self.server_cpu / self.sent

    @property
    def traces_per_core(self) -> float:
        """Traces for each second of the server's processor time."""
        return self.sent / self.server_cpu


@dataclass(frozen=True, slots=True)
class Shipping:
    """All backlogs, and what a run per prediction costs the server (seconds of its processor)."""

    backlogs: list[Shipped]
    run_cpu: float

    def per_run(self, one: Shipped) -> float:
        """Traces for what a run per prediction costs the server, in the same measurement."""
        return one.traces_per_core * self.run_cpu


def measure(folder: Path, backlog: int, traces: int, tell: Callable[[str], None]) -> Shipping:
    """Ship a backlog without traces, two with all of them (tagged and not), and one by default."""
    plans: list[tuple[str, int, dict[str, Any]]] = [
        ("Parquet alone", backlog, {"LEDGER_TRACE_RATE": 0, "LEDGER_LOW_CONFIDENCE": 0}),
        ("every trace", traces, _UNLIMITED),
        ("every trace, no tags", traces, {**_UNLIMITED, "LEDGER_TRACE_TAGS": "none"}),
        ("settings as they come", backlog, {}),
    ]
    found, costs = [], []
    for number, (name, records, settings) in enumerate(plans):
        tell(f"shipping {records:,} predictions: {name}")
        place = folder / str(number)
        prepare(place / "data", records)
        costs.append(_cost_of_a_run(place / "runs", _RUNS))
        tell(f"  a run per prediction: {1e3 * costs[-1]:.1f} ms of the server")
        found.append(_ship(name, place, records, settings))
        tell(f"  {found[-1]}")
    # In turn with the others, for a machine's pace changes.
    return Shipping(found, median(costs))


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


def _cost_of_a_run(folder: Path, count: int) -> float:
    """Log predictions one by one, a run each; return the server's processor time for one."""
    # It would print two lines for each run, into the table of the results.
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    record = orjson.loads(payload())
    with _server(folder) as mlflow:
        client = MlflowClient(mlflow.uri)
        experiment = client.create_experiment("by hand")

        def log() -> None:
            run = client.create_run(experiment).info.run_id
            params = [Param(key, str(record[key])) for key in ("model", "version", "status")]
            metric = Metric("seconds", record["seconds"], int(1e3 * time.time()), 0)
            client.log_batch(run, metrics=[metric], params=params)
            client.log_dict(run, {"input": record["input"], "output": record["output"]}, "it.json")
            client.set_terminated(run)

        log()
        before = _cpu(mlflow)
        for _ in range(count):
            log()
        return (_cpu(mlflow) - before) / count


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
