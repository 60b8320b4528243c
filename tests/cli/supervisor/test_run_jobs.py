"""`slipway run` as a person starts it: everything, on free ports, with jobs that outlive it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.core.settings import Settings
from services.jobs.names import QUEUES
from tests.support.mlflow_server import free_port
from tests.support.patience import PATIENCE
from tests.support.pictures import blobs_as

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
_SECONDS = 180.0


class Run:
    """A running `slipway run`, on ports and a folder that the next one has too."""

    def __init__(self, folder: Path, environment: dict[str, str], *options: str) -> None:
        self.log = folder / "log"
        self._environment = environment
        self._folder = folder
        address = f"http://127.0.0.1:{environment['PORT']}"
        self.client = httpx.Client(base_url=address, trust_env=False, timeout=30)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.cli", "run", "--no-seed", *options],
                cwd=folder, env=environment, stdout=log, stderr=log,
            )  # fmt: skip

    def until(self, true: Callable[[], bool]) -> None:
        end = time.monotonic() + _SECONDS
        while True:
            try:
                if true():
                    return
            except httpx.HTTPError:
                pass
            assert self.process.poll() is None and time.monotonic() < end, self.said()
            time.sleep(0.5)

    def health(self) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get("/health").json()
        return found

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "services.cli", *arguments],
            cwd=self._folder, env=self._environment, capture_output=True, text=True,
            timeout=PATIENCE,
        )  # fmt: skip

    def stop(self) -> list[int]:
        """Ask it to end; return the processes that it leaves behind."""
        mine = tree(self.process.pid)
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE) == 0, self.said()
        return [pid for pid in mine if alive(pid)]

    def said(self) -> str:
        logs = [self.log, *sorted((self._folder / "data" / "logs").glob("*.log"))]
        return "\n".join(f"{log.name}: {log.read_text()[-2000:]}" for log in logs)


def tree(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text()
            except OSError:
                continue
            parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    known = {name.upper() for name in Settings.model_fields}
    inherited = {key: value for key, value in os.environ.items() if key not in known}
    values = {
        "PORT": free_port(), "MLFLOW_PORT": free_port(), "REDIS_PORT": free_port(),
        "DATA_DIR": tmp_path / "data", "PYTHONPATH": ROOT, "SHUTDOWN_DELAY": 0,
        # One process less that loads the model.
        "WORKER_MODELS": "*", "CUTLER_PRESET": "fast", "CACHE": "redis",
    }  # fmt: skip
    return inherited | {name: str(value) for name, value in values.items()}


@contextmanager
def running(folder: Path, environment: dict[str, str], *options: str) -> Iterator[Run]:
    run = Run(folder, environment, *options)
    try:
        yield run
    finally:
        for pid in tree(run.process.pid) if run.process.poll() is None else []:
            os.kill(pid, signal.SIGKILL)
        run.process.wait(PATIENCE)
        run.client.close()


def submit(run: Run) -> str:
    answer = run.client.post("/process-image/async", files={"file": ("a.png", blobs_as("PNG"))})
    assert answer.status_code == 202, answer.text
    task: str = answer.json()["task_id"]
    return task


def test_what_was_queued_goes_on_with_the_next_run(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    with running(tmp_path, environment, "--no-workers") as run:
        run.until(lambda: run.client.get("/health/ready").is_success)
        reason = "No worker is there; jobs are accepted and wait."
        run.until(lambda: run.health()["reason"] == reason)
        queued = submit(run)
        assert run.client.get(f"/task/{queued}").json()["status"] == "processing"
        assert run.command("jobs", "check").returncode == 1
        assert run.stop() == []

    with running(tmp_path, environment) as run:
        run.until(lambda: run.client.get("/health/ready").is_success)
        for task in (queued, submit(run)):
            run.until(lambda: run.client.get(f"/task/{task}").json()["status"] != "processing")  # noqa: B023
            found = run.client.get(f"/task/{task}").json()
            assert found["status"] == "completed", (found, run.said())
        run.until(lambda: set(run.health()["workers"].values()) == {1})
        run.until(lambda: run.health()["status"] == "healthy")
        services = run.health()["services"]
        assert {"redis", "database", "workers", "beat", "mlflow"} <= set(services)
        ended = 'jobs_total{queue="interactive",status="succeeded"} 2.0'
        run.until(lambda: ended in run.client.get("/metrics").text)
        # It finds the database and the Redis of this run by itself.
        check = run.command("jobs", "check")
        assert check.returncode == 0, check.stdout + check.stderr
        names = [f"worker-{queue}" for queue in QUEUES] + ["beat", "redis", "redis-cache"]
        assert all((tmp_path / "data" / "logs" / f"{name}.log").exists() for name in names)
        assert run.stop() == []
