"""Models on workers while no worker is there: nothing is loaded here, nobody waits for ever."""

import time
import uuid
from pathlib import Path
from typing import Any

import httpx

from tests.conftest import settings_for_tests
from tests.gateway.asynchronous.conftest import families
from tests.support.local import serving
from tests.support.patience import PATIENCE
from tests.support.redis_server import RedisServer

COUNTED = 'predictions_total{mode="sync",model="adder",status="timeout",version="none"} 1.0'


def test_nobody_is_there(redis: RedisServer, tmp_path: Path) -> None:
    settings = settings_for_tests(
        data_dir=tmp_path, redis_url=redis.url, worker_models="adder", request_timeout=1
    )
    with serving(settings, families()) as server:
        client = server.client
        model = server.model("adder")
        assert (model["placement"], model["state"]) == ("workers", "ready")
        assert (model["serving_version"], model["versions_in_memory"]) == ("7", [])
        assert server.model("colours")["placement"] == "in_process"
        answer = client.post("/predict", json={"features": [1, 2]})
        assert answer.status_code == 504, answer.text
        # It is not done behind the caller's back.
        assert canceled(client, answer.headers["X-Prediction-ID"])
        assert COUNTED in client.get("/metrics").text
        # What is known without a worker is told at once.
        for path, status in (
            ("/models/adder/predict?version=99", 404),
            ("/models/nobody/predict", 404),
            (f"/models/adder/predict?version={uuid.uuid4()}", 404),
        ):
            assert client.post(path, json={"inputs": [[1]]}).status_code == status, path
        described = client.get("/v2/models/adder")
        assert (described.status_code, described.json()["name"]) == (200, "adder")
        assert server.model("adder")["versions_in_memory"] == []


def test_without_redis(tmp_path: Path) -> None:
    settings = settings_for_tests(data_dir=tmp_path, worker_models="adder")
    with serving(settings, families()) as server:
        answer = server.client.post("/predict", json={"features": [1, 2]})
        assert (answer.status_code, answer.json()["error"]["where"]) == (503, "REDIS_URL")
        assert int(answer.headers["Retry-After"]) >= 1


def canceled(client: httpx.Client, id: str) -> bool:
    """Wait until a prediction has ended; return whether it was canceled."""
    until = time.monotonic() + PATIENCE
    while True:
        body: dict[str, Any] = client.get(f"/predictions/{id}").json()
        if body["status"] != "starting":
            return bool(body["status"] == "canceled")
        assert time.monotonic() < until
        time.sleep(0.05)
