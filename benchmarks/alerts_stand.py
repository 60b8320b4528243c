"""What `benchmarks.alerts` breaks: Slipway with all its parts, and what watches over it.

MLflow, Redis and the workers are no children of `slipway run` here: it would start them again, and
what is killed is to stay away.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import httpx

from benchmarks.peers.contenders import ROOT
from services.core.settings import Settings
from tests.support.alertmanager import Receiver
from tests.support.jobs_stand import Running
from tests.support.mlflow_server import MlflowServer, free_port
from tests.support.redis_server import RedisServer

TABULAR, FAULTY = "ml_classifier", "faulty"
ROLES = ("interactive", "batch", "training", "upkeep", "beat")
_READY_SECONDS = 900.0
_COMMAND_SECONDS = 900.0
# A model as a user writes one: it does not expect a number that large.
_FAULTY_CODE = """
import mlflow
from mlflow.pyfunc import PythonModel


class Faulty(PythonModel):
    def predict(self, context, model_input, params=None):
        if float(model_input.to_numpy().max()) > 1000:
            raise RuntimeError("no value for this row")
        return model_input.sum(axis=1)


mlflow.models.set_model(Faulty())
"""
_REGISTER = """
import sys, mlflow, pandas
from mlflow.models import infer_signature
rows = pandas.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
mlflow.set_experiment("faulty")
with mlflow.start_run():
    made = mlflow.pyfunc.log_model(
        name="model", python_model=sys.argv[1], signature=infer_signature(rows, rows["a"]),
        registered_model_name="faulty", pip_requirements=[],
    )
mlflow.MlflowClient().set_registered_model_alias("faulty", "production", "1")
"""


class Stand:
    """All of it, started by `start` and ended with the block.

    Attributes:
        data: DATA_DIR.
        receiver: gets the alerts.
        gateway, prometheus: clients of both.
        workers: by role; each may be killed and started again.
    """

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder, self.data = folder, data
        self.receiver = Receiver()
        self.mlflow = MlflowServer(folder / "mlflow")
        self.redis = RedisServer(folder / "redis")
        ports = {name: free_port() for name in ("PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT")}
        self._environment = _environment(
            MLFLOW_TRACKING_URI=self.mlflow.uri,
            REDIS_URL=self.redis.url,
            DATA_DIR=data,
            TRUSTED_MODELS=FAULTY,
            CUTLER_PRESET="fast",
            NUM_THREADS=1,
            ALERT_WEBHOOK_URL=self.receiver.url,
            ALERT_WATCHDOG_URL=f"{self.receiver.url}watchdog",
            **ports,
        )
        self.gateway = _client(ports["PORT"])
        self.prometheus = _client(ports["PROMETHEUS_PORT"])
        self.workers: dict[str, Running] = {}
        self._run: Running | None = None
        self._monitor: Running | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._monitor is not None:
            self._monitor.stop()
        for worker in self.workers.values():
            # One that stands still does not hear that it is to end.
            worker.kill()
        if self._run is not None:
            self._run.stop()
        self.gateway.close()
        self.prometheus.close()
        self.redis.kill()
        self.mlflow.stop()
        self.receiver.__exit__(None, None, None)

    def start(self, note: Callable[[str], None]) -> None:
        """Train and register the models, start everything, and wait until all is well."""
        note("models")
        self.slipway("seed-models", "--only", TABULAR)
        code = self.folder / "model_code.py"
        code.write_text(_FAULTY_CODE, encoding="utf-8")
        self._command("-W", "ignore", "-c", _REGISTER, str(code))
        note("Slipway")
        self.start_gateway()
        for role in ROLES:
            self.start_worker(role)
        self._wait(self._serves, "serving, with all parts healthy")
        note("Prometheus and Alertmanager")
        self._monitor = self._background("monitor", "services.cli", "monitor")
        self._wait(self._all_up, "scraped")

    def start_gateway(self) -> None:
        """Run `slipway run`, and wait until it answers."""
        self._run = self._background("run", "services.cli", "run", "--no-workers")
        self._wait(lambda: self.gateway.get("/health/ready").is_success, "ready")

    def kill_gateway(self) -> None:
        """Kill `slipway run`, and with it the gateway and the shipper."""
        assert self._run is not None
        self._run.kill()

    def start_worker(self, role: str) -> None:
        """Start the worker of a queue, or the beat."""
        self.workers[role] = self._background(f"worker-{role}", "services.worker", role)

    def signal_worker(self, role: str, number: int) -> None:
        """Send a signal to a worker and its children."""
        os.killpg(self.workers[role].pid, number)

    def health(self) -> dict[str, Any]:
        """Return what the gateway says of all parts."""
        found: dict[str, Any] = self.gateway.get("/health").json()
        return found

    def python(self, code: str, *arguments: str) -> None:
        """Run a snippet as a user of MLflow would."""
        self._command("-W", "ignore", "-c", code, *arguments)

    def slipway(self, *arguments: str) -> None:
        """Run a command of Slipway's."""
        self._command("-m", "services.cli", *arguments)

    def _serves(self) -> bool:
        found = self.health()
        return found["status"] == "healthy" and all(
            found["models"].get(name) for name in (TABULAR, FAULTY)
        )

    def _all_up(self) -> bool:
        targets = self.prometheus.get("/api/v1/targets").json()["data"]["activeTargets"]
        return len(targets) == 3 and all(one["health"] == "up" for one in targets)

    def _background(self, name: str, module: str, *arguments: str) -> Running:
        command = [sys.executable, "-m", module, *arguments]
        return Running(command, self._environment, self.folder / f"{name}.log")

    def _command(self, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{arguments[:3]}: {done.stdout}{done.stderr}")

    def _wait(self, holds: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + _READY_SECONDS
        while True:
            with suppress(httpx.HTTPError, KeyError, ValueError):
                if holds():
                    return
            if time.monotonic() > until:
                logs = "\n".join(f"{log.name}: {log.read_text()[-2000:]}" for log in self._logs())
                raise TimeoutError(f"not {what} within {_READY_SECONDS:g} s\n{logs}")
            time.sleep(0.5)

    def _logs(self) -> list[Path]:
        return sorted([*self.folder.glob("*.log"), *self.data.glob("logs/*.log")])


def _environment(**values: object) -> dict[str, str]:
    known = {name.upper() for name in Settings.model_fields}
    kept = {k: v for k, v in os.environ.items() if k not in known and not k.startswith("MLFLOW_")}
    own = {name: str(value) for name, value in values.items()}
    return {**kept, **own, "PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"}


def _client(port: int) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30)
