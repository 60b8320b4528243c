"""One system for all these tests: MLflow, small models in its registry, a gateway, workers."""

import json
import os
import shutil
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from services.core.settings import Settings
from services.families import discover
from services.families.base import TrainableFamily
from services.families.shapes.data import png
from services.families.shapes.drawings import LABELS, draw
from services.registry.catalogue import Stage
from services.registry.registry import Registry
from services.training.run import train
from tests.conftest import settings_for_tests
from tests.families.small import short
from tests.support.jobs_stand import Running
from tests.support.mlflow_server import MlflowServer
from tests.support.patience import PATIENCE
from tests.support.redis_server import RedisServer
from tests.support.server import ROOT, Server

_DRAWINGS = 96
# Queues that have a worker here, and the beat, without which nothing is healthy.
ROLES = ("interactive", "training", "beat")
# Registered name, and how many versions of it; the last is in production.
MODELS = {
    "ml_classifier": ("tabular", 2),
    "MNISTClassifier": ("digits", 3),
    "sentiment-analysis-tfidf": ("sentiment", 1),
    "custom_cnn": ("shapes", 1),
}


@dataclass(frozen=True)
class Answer:
    """What `curl` brought back."""

    status: int
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


class System:
    """A gateway over a registry.

    Attributes:
        url, mlflow: the addresses of both.
        drawings: a folder of shapes to learn from, by label; few, for judging them takes time.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mlflow = MlflowServer(folder / "mlflow")
        self.mlflow = self._mlflow.uri
        self._gateway: Server | None = None
        self._redis = RedisServer(folder / "redis")
        self._workers: list[Running] = []
        self.drawings = folder / "drawings"
        try:
            self._draw()
            self._fill()
            self._serve()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all of it."""
        if self._gateway is not None:
            self._gateway.stop()
        for worker in self._workers:
            worker.stop()
        self._redis.kill()
        self._mlflow.stop()

    def curl(self, *arguments: str) -> Answer:
        """Run `curl` as a document writes it; `{url}` in an argument is the gateway's address."""
        command = ["curl", "-sS", "--noproxy", "*", "-w", "\n%{http_code}"]
        command += [part.replace("{url}", self.url) for part in arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert done.returncode == 0, done.stderr
        text, _, status = done.stdout.rpartition("\n")
        return Answer(int(status), text)

    def python(self, snippet: str, **names: str) -> str:
        """Run a document's Python, its addresses and names replaced; return what it printed."""
        for name, value in names.items():
            snippet = snippet.replace(f"<{name}>", value)
        return self._run(sys.executable, "-W", "ignore", "-c", snippet)

    def slipway(self, *arguments: str) -> str:
        """Run the command line; return what it printed."""
        return self._run(sys.executable, "-m", "services.cli", *arguments)

    def model(self, name: str) -> dict[str, Any]:
        """Return a model as the gateway lists it."""
        listed = self.curl("{url}/models").json()["models"]
        return next(model for model in listed if model["name"] == name)

    def wait(self, name: str, **expected: Any) -> None:
        """Wait until the gateway lists a model with these values."""
        until = time.monotonic() + PATIENCE
        while not expected.items() <= (found := self.model(name)).items():
            assert time.monotonic() < until, found
            time.sleep(0.1)

    def _work(self, folder: Path) -> None:
        """Start the workers, on the gateway's own folder."""
        own = {"DATA_DIR": str(folder), "REDIS_URL": self._redis.url, "NUM_THREADS": "1"}
        environment = {**self._environment(), **own}
        for role in ROLES:
            command = [sys.executable, "-m", "services.worker", role]
            self._workers.append(Running(command, environment, folder / f"worker-{role}.log"))

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _environment(self) -> dict[str, str]:
        hidden = {name.upper() for name in Settings.model_fields}
        kept = {k: v for k, v in os.environ.items() if k not in hidden and "proxy" not in k.lower()}
        own = {
            "MLFLOW_TRACKING_URI": self.mlflow,
            "DATA_DIR": str(self.folder / "data"),
            "PYTHONPATH": str(ROOT),
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        return {**kept, **own}

    def _draw(self) -> None:
        for seed in range(_DRAWINGS):
            drawing = draw(seed)
            path = self.drawings / LABELS[drawing.label] / f"{seed}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(drawing.pixels))

    def _fill(self) -> None:
        """Train each model for a moment, and register it as often as it is to have versions."""
        settings = settings_for_tests(
            data_dir=self.folder / "training", mlflow_tracking_uri=self.mlflow
        )
        families = discover()
        registry = Registry(settings, families)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name, (family_name, versions) in MODELS.items():
                family = families[family_name]
                assert isinstance(family, TrainableFamily)
                made = train(
                    family,
                    params=short(family),
                    seed=0,
                    source=self.drawings if family_name == "shapes" else None,
                    settings=settings,
                    register=True,
                    version_tag="1.0.0",
                    run_name=name,
                )
                for _ in range(versions - 1):
                    registry.register(name, made.model_uri, run_id=made.run_id)
                registry.transition(name, str(versions), Stage.PRODUCTION, actor="tests")

    def _serve(self) -> None:
        folder = self.folder / "gateway"
        folder.mkdir()
        self._gateway = Server(
            folder,
            module="services.gateway",
            MLFLOW_TRACKING_URI=self.mlflow,
            REGISTRY_POLL_SECONDS=0.5,
            NUM_THREADS=1,
            LOG_FORMAT="json",
            REDIS_URL=self._redis.url,
        )
        self._work(folder)
        self.url = self._gateway.url
        wanted = {*MODELS, "cutler"}
        until = time.monotonic() + PATIENCE
        with httpx.Client(base_url=self.url, trust_env=False, timeout=30) as client:
            while True:
                health = client.get("/health").json()
                serving = {name for name, serves in health["models"].items() if serves}
                if wanted <= serving and health["status"] == "healthy":
                    return
                assert time.monotonic() < until, (health, "".join(self._gateway.lines[-50:]))
                time.sleep(0.2)


def has_curl() -> bool:
    """Whether `curl` is installed."""
    return shutil.which("curl") is not None
