"""Gateways with a small model that keep their metrics in different ways, each in a process."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

from benchmarks.engine import PAYLOAD, BenchFamily
from benchmarks.peers import cores
from services.core import tally
from services.core.settings import Settings
from services.engine import meters
from services.gateway.middleware import metrics as http_metrics
from services.gateway.server import serve
from tests.support.mlflow_server import free_port

ROOT = Path(__file__).parents[1]
NOTHING, MEMORY, SHARED = ARMS = ("nothing", "memory", "shared")
_READY_SECONDS = 120.0
_STOP_SECONDS = 20.0


class Arm:
    """A gateway that runs for the block."""

    path = "/models/bench/predict"

    def __init__(self, name: str, folder: Path, share: cores.Cores) -> None:
        folder.mkdir()
        self.name = name
        self.port = free_port()
        known = {field.upper() for field in Settings.model_fields}
        environment = {k: v for k, v in os.environ.items() if k not in known} | {
            "PORT": str(self.port), "DATA_DIR": str(folder), "CACHE": "off", "LOG_LEVEL": "WARNING",
            "SHUTDOWN_DELAY": "0", "PYTHONPATH": str(ROOT), "MAX_QUEUE": "1000",
            "LEDGER_SHIPPER": "off",
        }  # fmt: skip
        if name == SHARED:
            environment["PROMETHEUS_MULTIPROC_DIR"] = str(folder / "metrics")
        with cores.on(share.server):
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, name], cwd=folder, env=environment
            )

    def __enter__(self) -> Self:
        until = time.monotonic() + _READY_SECONDS
        while not self._ready():
            if time.monotonic() > until or self._process.poll() is not None:
                self.__exit__()
                raise SystemExit(f"{self.name} does not become ready")
            time.sleep(0.2)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health/ready", trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def used(self) -> float:
        """Return the processor seconds that it has used."""
        times = psutil.Process(self._process.pid).cpu_times()
        return times.user + times.system

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"


def _record_nothing() -> None:
    """Replace what is called for each request by nothing."""

    def nothing(*_: Any) -> None:
        return None

    hot: dict[type, tuple[str, ...]] = {
        tally.Observations: ("observe",),
        tally.Count: ("inc",),
        meters.Meters: ("answered", "ended", "ran"),
        http_metrics.RequestMeters: ("observe",),
    }
    for kind, names in hot.items():
        for name in names:
            setattr(kind, name, nothing)


def _serve(name: str) -> None:
    if name == NOTHING:
        _record_nothing()
    settings = Settings(_env_file=None)
    (settings.data_dir / "note.json").write_text(json.dumps(PAYLOAD))
    serve(settings, {"bench": BenchFamily(settings.data_dir, 0, 0, PAYLOAD)})


if __name__ == "__main__":
    _serve(sys.argv[1])
