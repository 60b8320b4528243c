"""The metrics of one version, looked up once rather than at each prediction."""

from services.core.metrics import Metrics
from services.engine.messages import Timings
from services.families.base import ModelInfo

PHASES = ("queue", "preprocess", "inference", "postprocess")


class Meters:
    """What is observed about one version in memory."""

    def __init__(self, metrics: Metrics, name: str, version: str) -> None:
        self.name = name
        self.version = version
        self._metrics = metrics
        durations = metrics.prediction_duration
        self._phases = [durations.labels(name, version, phase) for phase in PHASES]
        self._confidence = metrics.prediction_confidence.labels(name, version)
        self._batch = metrics.prediction_batch_size.labels(name, version)
        self._info: tuple[str, ...] | None = None

    def answered(self, timings: Timings, confidences: list[float]) -> None:
        """Observe a prediction that was made."""
        parts = (timings.queue, timings.preprocess, timings.inference, timings.postprocess)
        for phase, seconds in zip(self._phases, parts, strict=True):
            phase.observe(seconds)
        for score in confidences:
            self._confidence.observe(score)

    def ran(self, rows: int) -> None:
        """Observe one call of the model."""
        self._batch.observe(rows)

    def loaded(self, info: ModelInfo, memory_bytes: int) -> None:
        """Show the version as one that is in memory."""
        self._info = (self.name, self.version, info.family, info.task, info.device)
        self._metrics.model_memory.labels(self.name, self.version).set(memory_bytes)
        self._metrics.model_loaded.labels(*self._info).set(1)

    def unloaded(self) -> None:
        """Take away the series that say that it is in memory."""
        if self._info is not None:
            self._metrics.model_memory.remove(self.name, self.version)
            self._metrics.model_loaded.remove(*self._info)
            self._info = None
