"""How long `/mlflow/runs` and `/experiments` take where MLflow holds many runs.

    python -m benchmarks.runs [--runs 100000] [--experiments 10] [--rounds 15]

A real MLflow server on SQLite, filled straight into its tables: half of the runs in one
experiment, the rest spread over the others, over `--days`. Each has four metrics, four parameters
and four tags. `first` is the first request of a fresh gateway, `p50` the median of those after
it, each behind a new run, so that nothing can be answered from what was remembered alone. Then so
many requests until `/experiments` knows all of them for certain.
"""

import argparse
import json
import random
import signal
import sqlite3
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.conftest import settings_for_tests
from tests.support.local import LocalServer, serving
from tests.support.mlflow_server import MlflowServer

_METRICS = ("accuracy", "loss", "val_accuracy", "val_loss")
_PATHS = ("/mlflow/runs?limit=20", "/mlflow/runs?limit=20&experiment=bench-0", "/experiments")
# What was found out is good for a second: it is to be asked again.
_PAUSE = 1.1
_MOST = 200
_Row = tuple[Any, ...]


def main() -> int:
    """Measure; print a table, and the figures as JSON in the last line."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory() as folder:
        mlflow = MlflowServer(Path(folder) / "mlflow")
        try:
            began = time.monotonic()
            _fill(mlflow, arguments)
            print(f"{arguments.runs} runs written in {time.monotonic() - began:.0f} s")
            measured = _measure(mlflow, Path(folder) / "data", arguments.rounds)
        finally:
            mlflow.stop()
    for path, figures in measured.items():
        told = "  ".join(f"{name} {value * 1000:7.0f} ms" for name, value in figures.items())
        print(f"{path:45} {told}")
    print(json.dumps({"runs": arguments.runs, "seconds": measured}))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--experiments", type=int, default=10)
    parser.add_argument("--days", type=float, default=90.0, help="over which the runs are spread")
    parser.add_argument("--rounds", type=int, default=15)
    return parser.parse_args()


def _measure(mlflow: MlflowServer, data: Path, rounds: int) -> dict[str, dict[str, float]]:
    from mlflow import MlflowClient

    client = MlflowClient(mlflow.uri)
    experiment = client.get_experiment_by_name("bench-0")
    assert experiment is not None
    settings = settings_for_tests(data_dir=data, mlflow_tracking_uri=mlflow.uri, ledger=False)
    measured = {}
    with serving(settings) as gateway:
        for path in _PATHS:
            first = _ask(gateway, path)
            later = []
            for _ in range(rounds):
                time.sleep(_PAUSE)
                run = client.create_run(experiment.experiment_id)
                client.log_metric(run.info.run_id, "accuracy", random.random())
                later.append(_ask(gateway, path))
            measured[path] = {
                "first": first,
                "p50": statistics.median(later),
                "worst": max(later),
            }
        requests = 1
        while not all(one["complete"] for one in _experiments(gateway)) and requests < _MOST:
            requests += 1
        print(f"{requests} more requests to know every experiment; then:")
        for one in _experiments(gateway):
            print(f"  {one['name']:12} {one['total_runs']:7} {one['best_run']}")
    return measured


def _experiments(gateway: LocalServer) -> list[dict[str, Any]]:
    return list(gateway.client.get("/experiments").json()["experiments"])


def _ask(gateway: LocalServer, path: str) -> float:
    began = time.perf_counter()
    answer = gateway.client.get(path)
    seconds = time.perf_counter() - began
    assert answer.status_code == 200, answer.text
    assert answer.json()["total_count"] > 0
    return seconds


def _fill(mlflow: MlflowServer, arguments: argparse.Namespace) -> None:
    """Write the runs into MLflow's own tables: by its API they would take hours."""
    from mlflow import MlflowClient

    client = MlflowClient(mlflow.uri)
    names = [f"bench-{number}" for number in range(arguments.experiments)]
    ids = [int(client.create_experiment(name)) for name in names]
    mlflow.stop()
    with closing(sqlite3.connect(mlflow.folder / "mlflow.db")) as database, database:
        for table, rows in _tables(ids, arguments.runs, arguments.days).items():
            columns = ", ".join(table[1])
            marks = ", ".join("?" for _ in table[1])
            database.executemany(f"INSERT INTO {table[0]} ({columns}) VALUES ({marks})", rows)  # noqa: S608
    mlflow.start()


def _tables(
    ids: list[int], count: int, days: float
) -> dict[tuple[str, tuple[str, ...]], Iterator[_Row]]:
    chosen = random.Random(1)
    now = int(time.time() * 1000)
    runs = []
    for number in range(count):
        age = int(days * 86_400_000 * (count - number) / count)
        experiment = ids[0] if number % 2 else chosen.choice(ids[1:] or ids)
        runs.append((uuid.UUID(int=chosen.getrandbits(128)).hex, experiment, now - age))
    common = ("key", "value", "run_uuid")
    numbered = (*common, "timestamp", "step", "is_nan")
    return {
        (
            "runs",
            (
                "run_uuid", "name", "source_type", "status", "start_time", "end_time",
                "lifecycle_stage", "artifact_uri", "experiment_id", "user_id", "source_name",
            ),
        ): (
            (run, f"run-{run[:6]}", "LOCAL", "FINISHED", start, start + 60_000, "active",
             f"mlflow-artifacts:/{experiment}/{run}/artifacts", experiment, "ada", "train.py")
            for run, experiment, start in runs
        ),
        ("latest_metrics", numbered): (
            (name, chosen.random(), run, start, 0, 0)
            for run, _, start in runs
            for name in _METRICS
        ),
        ("params", common): (
            (f"param_{part}", str(chosen.randint(1, 100)), run)
            for run, _, _ in runs
            for part in range(4)
        ),
        ("tags", common): (
            (name, "a value of a tag", run)
            for run, _, _ in runs
            for name in ("mlflow.user", "mlflow.source.name", "mlflow.runName", "purpose")
        ),
    }  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
