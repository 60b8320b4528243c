"""All of Slipway as a person starts it: `slipway run`, with MLflow, Redis, workers, and models.

with WholeSystem(tmp_path) as system:
    MixedLoad(system).run()

Ports and folder are its own; everything ends with it.
"""

import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

from services.core.settings import Settings
from services.families import discover
from services.families.base import TrainableFamily
from services.registry.catalogue import Stage
from services.registry.registry import Registry
from services.training.run import train
from tests.conftest import settings_for_tests
from tests.families.small import short
from tests.support.mlflow_server import free_port
from tests.support.patience import PATIENCE
from tests.support.server import ROOT
from tests.support.versions import Shelf

_SECONDS = 2 * PATIENCE
# Registered models, all of them in production in version 1.
CLASSIFIER, REGRESSOR, FRAGILE = "ml_classifier", "price", "fragile"


class WholeSystem:
    """A running `slipway run`.

    Attributes:
        url, mlflow: the addresses of the gateway and of MLflow.
        target: the gateway's as Prometheus wants it.
        client: asks the gateway.
    """

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        port, mlflow = free_port(), free_port()
        self.target = f"127.0.0.1:{port}"
        self.url, self.mlflow = f"http://{self.target}", f"http://127.0.0.1:{mlflow}"
        values = {
            "PORT": port, "MLFLOW_PORT": mlflow, "REDIS_PORT": free_port(),
            "DATA_DIR": folder / "data", "PYTHONPATH": ROOT, "SHUTDOWN_DELAY": 0,
            "NUM_THREADS": 1, "CUTLER_PRESET": "fast", "TRUSTED_MODELS": FRAGILE,
            "REGISTRY_POLL_SECONDS": 0.5, "CACHE": "memory", **settings,
        }  # fmt: skip
        known = {name.upper() for name in Settings.model_fields}
        environment = {k: v for k, v in os.environ.items() if k not in known}
        environment |= {name: str(value) for name, value in values.items()}
        self.client = httpx.Client(base_url=self.url, trust_env=False, timeout=PATIENCE)
        self._log = folder / "log"
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.cli", "run", "--no-seed"],
                cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            self._fill()
            self.until(self._serves)
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End all of it, whatever state it is in."""
        self.client.close()
        mine = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(PATIENCE)
        for one in mine:
            if one.is_running():
                one.kill()
        psutil.wait_procs(mine, PATIENCE)

    def until(self, true: Callable[[], object], seconds: float = _SECONDS) -> None:
        """Wait until it holds; a gateway that does not answer yet is waited for."""
        end = time.monotonic() + seconds
        while True:
            try:
                if true():
                    return
            except httpx.HTTPError:
                pass
            assert self.process.poll() is None and time.monotonic() < end, self.said()
            time.sleep(0.2)

    def said(self) -> str:
        """Return the ends of all logs."""
        logs = [self._log, *sorted((self.folder / "data" / "logs").glob("*.log"))]
        return "\n".join(f"{log.name}: {log.read_text()[-3000:]}" for log in logs)

    def _fill(self) -> None:
        """Train and register models, while the others are still starting."""
        self.until(lambda: httpx.get(f"{self.mlflow}/health", trust_env=False).is_success)
        settings = settings_for_tests(
            data_dir=self.folder / "training", mlflow_tracking_uri=self.mlflow
        )
        families = discover()
        registry = Registry(settings, families)
        tabular = families["tabular"]
        assert isinstance(tabular, TrainableFamily)
        shelf = Shelf(self.folder / "shelf", self.mlflow)
        shelf.folder.mkdir()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            train(
                tabular,
                params=short(tabular),
                seed=0,
                source=None,
                settings=settings,
                register=True,
                stage=Stage.PRODUCTION,
            )
            shelf.add(registry, REGRESSOR, "regressor", production="1")
            shelf.add(registry, FRAGILE, "fragile", production="1")

    def _serves(self) -> bool:
        health = self.client.get("/health").json()
        wanted = {CLASSIFIER, REGRESSOR, FRAGILE, "cutler"}
        serving = {name for name, serves in health["models"].items() if serves}
        parts = health["services"]
        there = all(parts.get(one) == "healthy" for one in ("workers", "beat", "redis"))
        return wanted <= serving and there
