"""Requests per second of `POST /predict` for 20 features, beside a route that answers a constant.

`python -m benchmarks.predict_route [--seconds 5]` starts a gateway in a process of its own, with
a light model that needs no training, and asks it over 1 and over 32 connections. The client and
the gateway share this machine's cores, so the figures are what both can do together.
"""

import argparse
import asyncio
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import orjson
import uvloop
from numpy.typing import NDArray

from services.core.settings import Settings
from services.families.base import Artifact, Family, Model, ModelInfo

_FEATURES = 20
_CONNECTIONS = (1, 32)
_CONSTANT = "/health/live"


class LinearModel(Model):
    """One matrix product: as little as a model can do."""

    info = ModelInfo("linear", "1", "linear", "classification", "cpu", 1024)
    max_batch = 128

    def preprocess(self, payload: Any) -> NDArray[np.float64]:
        """Return [1, 20]."""
        return np.asarray(payload["features"], np.float64).reshape(1, _FEATURES)

    def infer(self, batch: Sequence[NDArray[np.float64]]) -> Sequence[Any]:
        """Return the sum of each row."""
        return [float(row.sum()) for row in batch]

    def postprocess(self, prepared: Any, raw: Any) -> Mapping[str, Any]:
        """Return a class and two probabilities."""
        share = 1 / (1 + math.exp(-raw))
        return {"prediction": int(raw > 0), "probability": [1 - share, share]}


class LinearFamily(Family):
    """Comes with its model."""

    name = task = "linear"
    model_name = "linear"
    field = "features"

    def open(self, artifact: Artifact, settings: Settings) -> Model:
        """Return the model."""
        return LinearModel()

    def builtin(self, settings: Settings) -> Artifact:
        """Return the only version."""
        example = {"features": [0.5] * _FEATURES}
        return Artifact("linear", "linear", "1", Path(), example=example)


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        from services.core.settings import get_settings
        from services.gateway.server import serve

        serve(get_settings(), {"linear": LinearFamily()})
        return 0
    with TemporaryDirectory() as folder:
        environment = {**os.environ, "PORT": "0", "DATA_DIR": folder, "CACHE": "off"}
        gateway = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.predict_route", "--serve"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            _measure(gateway, arguments.seconds)
        finally:
            gateway.send_signal(signal.SIGINT)
            gateway.wait(30)
            assert gateway.stdout is not None
            gateway.stdout.close()
    return 0


def _measure(gateway: "subprocess.Popen[bytes]", seconds: float) -> None:
    assert gateway.stdout is not None
    port, ready = 0, False
    while not (port and ready):
        entry = json.loads(gateway.stdout.readline())
        port = entry.get("port", port) if entry["event"] == "listening" else port
        ready = ready or entry["event"] == "model ready"
    # Nobody reads the rest; a pipe that is full would stop the gateway.
    drain = subprocess.Popen(["cat"], stdin=gateway.stdout, stdout=subprocess.DEVNULL)
    try:
        body = orjson.dumps({"features": [0.1] * _FEATURES})
        for path, sent in ((_CONSTANT, None), ("/predict", body)):
            for count in _CONNECTIONS:
                uvloop.run(_ask(port, path, sent, count, 0.5))
                times = uvloop.run(_ask(port, path, sent, count, seconds))
                median, late = statistics.median(times), statistics.quantiles(times, n=100)[98]
                print(
                    f"{path:14} {count:3} connections  {len(times) / seconds:7.0f} requests/s"
                    f"  median {median * 1e3:6.2f} ms  p99 {late * 1e3:6.2f} ms"
                )
    finally:
        drain.terminate()
        drain.wait()


async def _ask(port: int, path: str, body: bytes | None, count: int, seconds: float) -> list[float]:
    """Ask again and again over `count` connections; return the seconds that each answer took."""
    head = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: x\r\n"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    request = head.encode() + b"\r\n" + (body or b"")
    until = time.perf_counter() + seconds
    times: list[float] = []

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (started := time.perf_counter()) < until:
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200"), answer
            length = answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            times.append(time.perf_counter() - started)
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(one() for _ in range(count)))
    return times


if __name__ == "__main__":
    sys.exit(main())
