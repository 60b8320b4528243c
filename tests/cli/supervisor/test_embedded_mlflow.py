"""The embedded MLflow as the supervisor starts it: what it costs, and how it keeps its database."""

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest

from services.cli.supervisor.embedded import MLFLOW, mlflow_address, programs
from services.core import embedded
from services.core.settings import Settings
from services.ledger.shipping.aggregates import Aggregates
from services.ledger.shipping.destination import Destination
from services.ledger.shipping.lane import Stage
from services.ledger.shipping.parquet import Parquet
from services.ledger.shipping.sending import _local_folder
from services.ledger.shipping.traces import Traces
from services.ledger.shipping.upkeep import apply
from tests.conftest import settings_for_tests
from tests.ledger.journals import record
from tests.ledger.shipping.storing import NOON, exhaust, opened, runs_of
from tests.support.mlflow_server import free_port
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.slow

_STOP_SECONDS = 10.0
_MOST_BYTES = 500 * 1000 * 1000


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, int]]:
    """The settings of a `slipway run`, and the process id of its MLflow."""
    plain = settings_for_tests(
        data_dir=tmp_path_factory.mktemp("run"),
        mlflow_port=free_port(),
        port=free_port(),
        jobs=False,
    )
    (program,) = (one for one in programs(plain, mlflow=True, seed=False) if one.name == MLFLOW)
    address = mlflow_address(plain)
    process = subprocess.Popen(
        program.command, env=dict(program.environment), start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until = time.monotonic() + PATIENCE
        while True:
            assert process.poll() is None
            with suppress(httpx.HTTPError):
                if httpx.get(f"{address}/health", trust_env=False, timeout=5).is_success:
                    break
            assert time.monotonic() < until
            time.sleep(0.2)
        embedded.announce(plain.data_dir, address)
        yield (
            plain.model_copy(
                update={"mlflow_tracking_uri": address, "ledger_trace_rate": 10_000.0}
            ),
            process.pid,
        )
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)


def processes(session: int) -> list[int]:
    """Return the processes of a session."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == session:
                found.append(int(folder.name))
    return found


def memory(session: int) -> int:
    """Return the bytes of memory of a session; what several of its processes share counts once."""
    total = 0
    for pid in processes(session):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def traffic(settings: Settings) -> None:
    """Record predictions and have them shipped: traces, parts, metrics; then look at them."""
    with opened(settings) as ledger:
        ledger.write([record(time=NOON + n % 7200, model="ab"[n % 2]) for n in range(1000)])
        stages: list[Stage] = [
            Traces(*ledger.stage), Parquet(*ledger.stage), Aggregates(*ledger.stage)
        ]  # fmt: skip
        for stage in stages:
            try:
                exhaust(stage)
            finally:
                stage.close()
        assert ledger.totals()["rows_stored"] == 1000
        assert ledger.totals()["traces_sent"] == 1000
    destination = Destination(settings)
    for _ in range(5):
        destination.client().search_runs([destination.experiment_id()])
        destination.client().search_traces(locations=[destination.experiment_id()], max_results=100)


def test_it_is_small_and_writes_ahead(served: tuple[Settings, int]) -> None:
    settings, pid = served
    traffic(settings)
    # At rest.
    time.sleep(2)
    count, used = len(processes(pid)), memory(pid)
    print(f"embedded MLflow: {count} processes, {used / 1e6:.0f} MB")  # noqa: T201
    assert used < _MOST_BYTES
    assert count <= 3
    path = embedded.folder(settings.data_dir) / "mlflow.db"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_upkeep_looks_after_its_database(served: tuple[Settings, int]) -> None:
    settings, _ = served
    with opened(settings) as ledger:
        (done,) = (one for one in apply(*ledger.stage) if one.what == "MLflow statistics")
    assert done.count == 1
    path = embedded.folder(settings.data_dir) / "mlflow.db"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_stat1").fetchone()[0] > 0


def test_parts_and_pictures_lie_in_its_folder(served: tuple[Settings, int]) -> None:
    """Written by the shipper itself, and confirmed by the disk; the next command finds them."""
    settings, _ = served

    with opened(settings) as ledger:
        ledger.write([record(time=NOON, model="here")])
        exhaust(Parquet(*ledger.stage))
    run = runs_of(settings)["here", "1", "2026-11-20"]
    place = _local_folder(Destination(settings).client(), run.info.run_id)
    assert place is not None
    (part,) = (place / "predictions").iterdir()
    assert embedded.artifact_root(settings.data_dir) in part.parents
    assert part.suffix == ".parquet"
