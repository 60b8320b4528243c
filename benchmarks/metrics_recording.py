"""What recording costs a request, without a server and its noise.

    python -m benchmarks.metrics_recording           # in memory
    python -m benchmarks.metrics_recording --shared  # in a folder that processes share

Everything that is counted and observed for one prediction over HTTP; microseconds of processor
time, the best of five, and what bringing all up to date takes, which is done every second.
"""

import argparse
import tempfile
import time
from pathlib import Path

from services.core.metering.sharing import share
from services.core.metering.vitals import Vitals
from services.core.metrics import Metrics

_REQUESTS, _ROUNDS, _SETTLES = 20_000, 5, 200
_PHASES = ("queue", "preprocess", "inference", "postprocess")


def main() -> None:
    """Measure; print one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", action="store_true")
    shared = parser.parse_args().shared
    with tempfile.TemporaryDirectory() as folder:
        share(Path(folder) if shared else None)
        metrics = Metrics()
        metrics.tallies.add(Vitals("gateway", metrics.own))
        micros = min(_recorded(metrics) for _ in range(_ROUNDS))
        began = time.process_time()
        for _ in range(_SETTLES):
            metrics.tallies.settle()
        settle = 1e6 * (time.process_time() - began) / _SETTLES
    print(f"{'shared' if shared else 'memory'}: {micros:.1f} us/request, {settle:.0f} us/second")


def _recorded(metrics: Metrics) -> float:
    """Return the microseconds of one request's metrics."""
    active, tallies = metrics.active_connections, metrics.tallies
    phases = [
        tallies.histogram(metrics.prediction_duration.labels("model", "1", phase))
        for phase in _PHASES
    ]
    predictions = tallies.counter(metrics.predictions.labels("model", "1", "sync", "success"))
    requests = tallies.counter(metrics.http_requests.labels("POST", "/predict", "200"))
    duration = tallies.histogram(metrics.http_request_duration.labels("POST", "/predict"))
    began = time.process_time()
    for _ in range(_REQUESTS):
        active.inc()
        for phase in phases:
            phase.observe(0.01)
        predictions.inc()
        requests.inc()
        duration.observe(0.01)
        active.dec()
    tallies.settle()
    return 1e6 * (time.process_time() - began) / _REQUESTS


if __name__ == "__main__":
    main()
