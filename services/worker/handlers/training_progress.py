"""How far a training is, as the row of its job says it: bounded, however many epochs it has."""

import math
import time
from collections.abc import Mapping
from typing import Any

from services.training.errand import Begun
from services.worker.work import Work

# Of the curve; of a longer one every second, fourth, ... point is kept.
MOST_POINTS = 200
# Two epochs closer together are told as one.
_SECONDS = 0.25


class TrainingProgress:
    """Takes what a training reports, and hands it on now and then.

    Attributes:
        history: the curve: `epoch` and `metrics` of each point.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self.history: list[dict[str, Any]] = []
        self._step = 1
        self._failed = 0
        self._told = 0.0
        self._now: dict[str, Any] = {
            "phase": "starting",
            "attempt": work.job.attempts,
            "epoch": 0,
            "total": None,
            "fraction": 0.0,
            "metrics": {},
        }

    def begun(self, begun: Begun) -> None:
        """The run in MLflow is there."""
        self._now |= {
            "experiment_name": begun.experiment,
            "run_id": begun.run_id,
            "run_url": begun.link,
        }
        self._tell()

    def note(self, message: str) -> None:
        """Something else begins, in words for people."""
        self._now["phase"] = message
        self._tell()

    def epoch(self, done: int, total: int, metrics: Mapping[str, float]) -> None:
        """An epoch or a round has ended."""
        self._now["phase"] = "training"
        self._point(done, total, metrics)

    def trial(self, total: int, metrics: Mapping[str, float], *, failed: bool) -> None:
        """A trial of a sweep has ended; they are counted as they end."""
        self._failed += failed
        self._now |= {"phase": "training", "failed": self._failed}
        self._point(self._now["epoch"] + 1, total, metrics)

    def _point(self, done: int, total: int, metrics: Mapping[str, float]) -> None:
        shown = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        self._now |= {
            "epoch": done,
            "total": total,
            "fraction": round(done / total, 4) if total else 1.0,
            "metrics": shown,
        }
        if done % self._step == 0 or done == total:
            self.history.append({"epoch": done, "metrics": shown})
        if len(self.history) > MOST_POINTS:
            self._step *= 2
            self.history = [one for one in self.history if one["epoch"] % self._step == 0]
        if time.monotonic() - self._told >= _SECONDS or done == total:
            self._tell()

    def _tell(self) -> None:
        self._told = time.monotonic()
        event = dict(self._now)
        self._work.progress({**event, "history": list(self.history)}, event)
