"""How long a scrape takes: real processes that share a folder, and readers of it."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from services.core.metering.rendering import Renderer
from services.core.metering.reporting import report
from services.core.metering.together import Together
from services.core.metrics import Metrics

ROOT = Path(__file__).parents[1]
_ROUTES = 80
_MODELS, _VERSIONS = 6, ("1", "2")
_PHASES = ("queue", "preprocess", "inference", "postprocess")


def fill(metrics: Metrics) -> None:
    """Give every series a value that a gateway in use has."""
    for number in range(_ROUTES):
        route = f"/some/route/{number}"
        for status in ("200", "404", "422"):
            metrics.http_requests.labels("POST", route, status).inc()
        metrics.http_request_duration.labels("POST", route).observe(0.0123)
    for model in (f"model-{number}" for number in range(_MODELS)):
        metrics.model_load_duration.labels(model).observe(2)
        metrics.prediction_errors.labels(model, "invalid_input").inc()
        for version in _VERSIONS:
            for mode in ("sync", "async"):
                metrics.predictions.labels(model, version, mode, "success").inc()
            for phase in _PHASES:
                metrics.prediction_duration.labels(model, version, phase).observe(0.0123)
            metrics.prediction_confidence.labels(model, version).observe(0.7)
            metrics.prediction_batch_size.labels(model, version).observe(3)
            metrics.model_memory.labels(model, version).set(1e6)
            metrics.model_loaded.labels(model, version, "tabular", "task", "cpu").set(1)


def measure_scrapes(folder: Path, processes: int, scrapes: int) -> dict[str, tuple[float, int]]:
    """Return the median milliseconds of a scrape and its series, by who reads."""
    folder.mkdir()
    memory = Metrics()
    fill(memory)
    started = [
        subprocess.Popen(
            [sys.executable, "-m", __name__, str(folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(processes)
    ]
    try:
        for one in started:
            assert one.stdout is not None
            one.stdout.readline()
        renderer = Renderer()
        ours, theirs = CollectorRegistry(), CollectorRegistry()
        ours.register(Together(folder))
        MultiProcessCollector(theirs, str(folder))  # type: ignore[no-untyped-call]
        return _alternating(
            {
                "slipway, several processes": lambda: renderer.text(ours.collect()),
                "the library, several processes": lambda: generate_latest(theirs),
                "one process, in memory": memory.exposition,
            },
            scrapes,
        )
    finally:
        for one in started:
            one.kill()
            one.communicate()


def _alternating(
    readers: dict[str, Callable[[], bytes]], count: int
) -> dict[str, tuple[float, int]]:
    times: dict[str, list[float]] = {name: [] for name in readers}
    series: dict[str, int] = {}
    for _ in range(count):
        for name, read in readers.items():
            began = time.process_time()
            text = read()
            times[name].append(1000 * (time.process_time() - began))
            series[name] = sum(not line.startswith(b"#") for line in text.splitlines())
    return {name: (statistics.median(found), series[name]) for name, found in times.items()}


def _be_one(folder: Path) -> None:
    """Be one of the processes, until standard input ends."""
    report("gateway", folder)
    fill(Metrics())
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    _be_one(Path(sys.argv[1]))
