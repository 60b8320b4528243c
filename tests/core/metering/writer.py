"""A process of its own that keeps metrics in a shared folder, as it is told on standard input.

Commands, one a line: `count N`, `gauge N`, `observe X`, `fork` (a child that counts 1), `end`.
Answers each with `done`.
"""

import os
import sys
from pathlib import Path

from services.core.metering.reporting import report
from services.core.metrics import Metrics


def main(folder: Path, program: str) -> None:
    reporter = report(program, folder)
    assert reporter is not None
    metrics = Metrics()
    _say_done()
    for line in sys.stdin:
        word, _, value = line.strip().partition(" ")
        match word:
            case "count":
                metrics.cache_requests.labels("hit").inc(float(value))
            case "gauge":
                metrics.active_connections.set(float(value))
            case "observe":
                metrics.file_upload_size.observe(float(value))
            case "loaded":
                metrics.model_loaded.labels("m", value, "f", "t", "cpu").set(1)
            case "unloaded":
                metrics.absent(metrics.model_loaded, "m", value, "f", "t", "cpu")
            case "fork":
                _fork(metrics, folder if value == "anew" else None)
            case "end":
                reporter.close()
                return
        _say_done()


def _say_done() -> None:
    sys.stdout.write("done\n")
    sys.stdout.flush()


def _fork(metrics: Metrics, folder: Path | None) -> None:
    """Count in a child: with what it inherited, or having begun anew as a worker's child does."""
    number = os.fork()
    if number:
        os.waitpid(number, 0)
        return
    if folder is not None:
        report("child", folder)
        metrics = Metrics()
    metrics.cache_requests.labels("hit").inc()
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
