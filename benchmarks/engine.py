"""What the engine adds to a model, by the way a prediction takes through it.

    python -m benchmarks.engine

Two models of the same arithmetic: a light one (microseconds, as a linear model's `predict`) and
a heavy one (`--call` seconds a call and `--row` seconds more a row, as a small network's). Each
line is a closed loop: so many callers, each asking again once it is answered. Ways are measured
in turn, several rounds in one process, and the median is given; `ratio` is against the first way
of the block. Trust ratios, not the figures: they are of the machine.

    light    on the event loop (the default for a light model)
    lane     the same model, made to use its thread
    single   batches of one
    batch    all that waits when the thread is free
"""

import argparse
import asyncio
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from services.core.metrics import Metrics
from services.core.settings import Settings
from services.engine.engine import Engine
from services.engine.messages import PredictRequest
from services.families.base import Artifact, Family, Model, ModelInfo

CONCURRENCY = (1, 32, 256)
PAYLOAD = {"features": [float(number) for number in range(20)]}


class BenchModel(Model):
    """Multiplies by a matrix; a heavy one also sleeps, as a network does outside Python's lock."""

    max_batch = 128

    def __init__(self, artifact: Artifact) -> None:
        self.info = ModelInfo(artifact.name, "1", "bench", "bench", "cpu", 0)
        self._call, self._row = artifact.config["call"], artifact.config["row"]
        self._weights = np.ones((20, 2))

    def preprocess(self, payload: Any) -> Any:
        """Return one row."""
        return np.asarray(payload["features"], np.float64)

    def infer(self, batch: Sequence[Any]) -> list[Any]:
        """Return a row for each."""
        if self._call:
            time.sleep(self._call + self._row * len(batch))
        return list(np.stack(batch) @ self._weights)

    def postprocess(self, prepared: Any, raw: Any) -> dict[str, Any]:
        """Return plain numbers."""
        return {"probability": raw.tolist()}


class BenchFamily(Family):
    """Makes a `BenchModel`, without an example where it must not be seen to be light."""

    name = "bench"
    task = "bench"
    model_name = "bench"

    def __init__(self, folder: Path, call: float, row: float, example: Any) -> None:
        config = {"call": call, "row": row}
        self._artifact = Artifact("bench", "bench", "1", folder, config, example=example)

    def builtin(self, settings: Settings) -> Artifact:
        """Return the only version."""
        return self._artifact

    def open(self, artifact: Artifact, settings: Settings) -> Model:
        """Return the model."""
        return BenchModel(artifact)


@dataclass(frozen=True, slots=True)
class Way:
    """A way through the engine, as settings and a model bring it about."""

    name: str
    call: float
    row: float
    example: Any
    batch: int = 128


async def ask_again_and_again(engine: Engine, callers: int, seconds: float) -> tuple[float, float]:
    """Return predictions a second and the median seconds of one."""
    until = time.perf_counter() + seconds
    times: list[float] = []

    async def caller() -> None:
        while (started := time.perf_counter()) < until:
            await engine.predict(PredictRequest("bench", PAYLOAD))
            times.append(time.perf_counter() - started)

    begun = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return len(times) / (time.perf_counter() - begun), statistics.median(times)


async def measure(ways: Sequence[Way], folder: Path, options: argparse.Namespace) -> None:
    """Print one block: every way at every concurrency."""
    engines = []
    for way in ways:
        settings = Settings(
            _env_file=None,
            data_dir=folder,
            cache="off",
            max_queue=1000,
            max_batch_size=way.batch,
            shutdown_delay=0,
        )
        family = BenchFamily(folder, way.call, way.row, way.example)
        engine = Engine(settings, {"bench": family}, Metrics())
        engine.start()
        while engine.not_ready():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        engines.append(engine)
    for callers in CONCURRENCY:
        found: list[list[tuple[float, float]]] = [[] for _ in ways]
        for _ in range(options.rounds):
            for engine, runs in zip(engines, found, strict=True):
                runs.append(await ask_again_and_again(engine, callers, options.seconds))
        report(ways, callers, found)
    for engine in engines:
        await engine.close()


def report(ways: Sequence[Way], callers: int, found: list[list[tuple[float, float]]]) -> None:
    """Print the lines of one concurrency."""
    rates = [statistics.median(rate for rate, _ in runs) for runs in found]
    for way, rate, runs in zip(ways, rates, found, strict=True):
        middle = 1e3 * statistics.median(seconds for _, seconds in runs)
        print(
            f"{way.name:8s} {callers:5d} callers {rate:10.0f}/s  median {middle:8.3f} ms"
            f"  ratio {rate / rates[0]:6.2f}",
            flush=True,
        )


async def run(options: argparse.Namespace) -> None:
    """Measure both models."""
    call, row = options.call, options.row
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "note.json").write_text(json.dumps(PAYLOAD))
        print("a light model")
        await measure([Way("light", 0, 0, PAYLOAD), Way("lane", 0, 0, None)], folder, options)
        for around, example in (("in the pool", None), ("on the loop", PAYLOAD)):
            print(f"a heavy model, the steps around it {around}")
            ways = [
                Way("single", call, row, example, batch=1),
                Way("batch", call, row, example),
            ]
            await measure(ways, folder, options)


def main() -> None:
    """Parse the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--call", type=float, default=0.004)
    parser.add_argument("--row", type=float, default=0.0001)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
