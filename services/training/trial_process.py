"""A process that trains what it is told to: `python -m services.training.trial_process`.

It reads lines of JSON from its standard input, first a `Start`, then a trial each, and answers with
lines of JSON. It knows nothing of MLflow. When its input ends, whoever started it is gone or done
with it, and it ends at once, in the middle of a trial if need be.
"""

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from services import families
from services.core.errors import SlipwayError
from services.core.settings import Settings
from services.families.base import Split, TrainableFamily
from services.training import environment, handover
from services.training.judge import judge
from services.training.run import threads


def main() -> None:
    """Work until the input ends."""
    told = _own_output()
    first = sys.stdin.readline()
    if not first:
        return
    start = json.loads(first)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(lines,), daemon=True).start()
    # What the starter was told by its environment is in here already.
    settings = Settings(_env_file=None, **start["settings"])
    family = families.discover()[start["family"]]
    assert isinstance(family, TrainableFamily)
    source = None if start["source"] is None else Path(start["source"])
    with threads(start["threads"]):
        split = family.read(source, start["params"])
        while True:
            trial = json.loads(lines.get())
            _say(told, _outcome(family, split, settings, trial, told))


def _outcome(
    family: TrainableFamily,
    split: Split,
    settings: Settings,
    trial: Mapping[str, Any],
    told: TextIO,
) -> dict[str, Any]:
    """Train once; a failure is an outcome too."""

    def report(done: int, total: int, metrics: Mapping[str, float]) -> None:
        _say(told, {"epoch": done, "total": total, "metrics": dict(metrics)})

    params = trial["params"]
    try:
        started = time.perf_counter()
        fitted = family.fit(split, params, trial["seed"], report)
        seconds = time.perf_counter() - started
        handover.write(fitted, Path(trial["folder"]))
        kept = handover.artifact(Path(trial["folder"]), family, family.registered_name(params))
        metrics = judge(family, kept, split.held_out, settings)
    except Exception as error:
        return {"error": error.message if isinstance(error, SlipwayError) else type(error).__name__}
    return {"metrics": metrics, "seconds": seconds, "device": environment.device()}


def _own_output() -> TextIO:
    """Keep standard output for the answers; what a library prints goes to the log."""
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return own


def _say(told: TextIO, message: Mapping[str, Any]) -> None:
    told.write(json.dumps(message) + "\n")
    told.flush()


def _listen(lines: "queue.SimpleQueue[str]") -> None:
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
