"""Drift from the training to the alarm, with all of it real: MLflow, Redis, gateway, worker."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from services import families
from services.families.base import Split, TrainableFamily
from services.registry.catalogue import Stage
from services.registry.registry import Registry
from services.training.run import train
from tests.support.jobs_stand import Stand
from tests.support.mlflow_server import MlflowServer
from tests.support.patience import PATIENCE
from tests.support.server import Server

pytestmark = pytest.mark.slow

NAME = "ml_classifier"
ROWS = 5
SHIFTED = ("feature_1", "feature_7", "feature_12")


@dataclass
class Scene:
    """Everything that runs, and the data that the model has learned from."""

    stand: Stand
    mlflow: MlflowServer
    server: Server
    client: httpx.Client
    split: Split

    def ask(self, first: int, rows: int, shift: float = 0.0) -> None:
        """Ask for so many rows of the data, some features of them moved; five in a request."""
        data = self.split.train
        names = [field.name for field in data.fields]
        for start in range(first, first + rows, ROWS):
            asked = [dict(zip(names, row, strict=True)) for row in data.rows[start : start + ROWS]]
            for row in asked:
                for name in SHIFTED:
                    row[name] += shift
            answer = self.client.post(f"/models/{NAME}/predict", json={"inputs": asked})
            assert answer.status_code == 200, answer.text

    def status(self, **asked: str) -> dict[str, Any]:
        answer = self.client.get("/drift/status", params={"model": NAME, **asked})
        assert answer.status_code == 200, answer.text
        (found,) = answer.json()["models"]
        return dict(found)

    def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE
        while not holds(found := self.status()):
            assert time.monotonic() < end, (found, self.stand.running[-1].said[-3000:])
            time.sleep(0.1)
        return found

    def until_told(self, verdict: str) -> None:
        """Wait until the version's tag in MLflow says so."""
        registry = Registry(self.stand.settings, families.discover())
        end = time.monotonic() + PATIENCE
        while registry.find(NAME).tags.get("slipway.drift") != verdict:
            assert time.monotonic() < end, self.stand.running[-1].said[-3000:]
            time.sleep(0.3)

    def metric(self, name: str) -> float | None:
        lines = self.client.get("/metrics").text.splitlines()
        found = [line for line in lines if line.startswith(name)]
        return float(found[0].rpartition(" ")[2]) if found else None


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    mlflow = MlflowServer(tmp_path / "mlflow")
    try:
        folder = tmp_path / "stand"
        values: dict[str, Any] = {
            "mlflow_tracking_uri": mlflow.uri,
            "serve_models": NAME,
            "drift_every": 1,
        }
        with Stand(folder, **values) as stand:
            family = families.discover()["tabular"]
            assert isinstance(family, TrainableFamily)
            params: dict[str, Any] = {"rows": 2000}
            train(
                family, params=params, seed=0, source=None, settings=stand.settings,
                register=True, stage=Stage.PRODUCTION,
            )  # fmt: skip
            stand.beat()
            stand.start("services.worker", "upkeep").wait_for("ready.", PATIENCE)
            server = Server(
                folder, module="services.gateway", REDIS_URL=stand.redis.url, NUM_THREADS=1,
                **{name.upper(): value for name, value in values.items()},
            )  # fmt: skip
            try:
                server.wait_ready()
                with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
                    split = family.read(None, {**family.defaults(), **params})
                    yield Scene(stand, mlflow, server, client, split)
            finally:
                server.stop()
    finally:
        mlflow.stop()


def test_a_shift_is_seen_everywhere(scene: Scene) -> None:
    found = scene.until(lambda one: one["checked_at"] is not None)
    assert (found["state"], found["samples_missing"]) == ("not_enough_data", 100)
    scene.ask(0, 150)
    found = scene.until(lambda one: (one["window"] or {}).get("samples") == 150)
    assert (found["state"], found["drift_detected"]) == ("ok", False), found
    assert found["window"]["inputs"] == "recorded"
    assert found["stage"] == "Production"
    scene.until_told("ok")
    # MLflow is away while the data change: the verdict does without it, and it is told later.
    scene.mlflow.stop()
    began = time.monotonic()
    scene.ask(150, 500, shift=3.0)
    asked = time.monotonic()
    found = scene.until(lambda one: one["drift_detected"])
    seconds = time.monotonic() - asked
    said = f"500 shifted rows in {asked - began:.1f} s, the verdict {seconds:.1f} s after the last"
    print(said)  # noqa: T201
    assert found["state"] == "drift"
    assert found["score"] >= 1
    assert {one["feature"] for one in found["features"] if one["drifted"]} & set(SHIFTED)
    end = time.monotonic() + PATIENCE
    of = f'{{model="{NAME}",version="1"}}'
    while scene.metric(f"prediction_drift_detected{of}") != 1:
        assert time.monotonic() < end
        time.sleep(0.2)
    overall = scene.metric(f'prediction_drift_score{{feature="_overall",model="{NAME}"}}')
    overall = overall or scene.metric(
        f'prediction_drift_score{{model="{NAME}",feature="_overall"}}'
    )
    assert overall is not None and overall >= 1
    scene.mlflow.start()
    scene.until_told("drift")
    looks = scene.status(version="1")["history"]
    assert {"ok", "drift"} <= {look["state"] for look in looks}
