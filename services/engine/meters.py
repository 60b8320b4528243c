"""The metrics of one version, looked up once rather than at each prediction."""

from services.core.metrics import Metrics
from services.core.tally import Count
from services.engine.messages import Timings
from services.families.base import ModelInfo

PHASES = ("queue", "preprocess", "inference", "postprocess")


class Meters:
    """What is observed about one version in memory; `ran` by any thread, the rest by the loop."""

    def __init__(
        self, metrics: Metrics, name: str, version: str, *, run_id: str | None = None
    ) -> None:
        self.name = name
        self.version = version
        self._metrics = metrics
        tallies, durations = metrics.tallies, metrics.prediction_duration
        self._phases = [
            tallies.histogram(durations.labels(name, version, phase)) for phase in PHASES
        ]
        self._queue, self._before, self._inside, self._after = self._phases
        confidence = metrics.prediction_confidence.labels(name, version)
        self._confidence = tallies.histogram(confidence)
        self._batch = tallies.histogram(metrics.prediction_batch_size.labels(name, version))
        self._counts: dict[tuple[str, str], Count] = {}
        self._info: tuple[str, ...] | None = None
        self._run = None if run_id is None else (name, version, run_id)
        self._closed = False

    def answered(self, timings: Timings, confidences: list[float]) -> None:
        """Observe a prediction that was made."""
        self._queue.observe(timings.queue)
        self._before.observe(timings.preprocess)
        self._inside.observe(timings.inference)
        self._after.observe(timings.postprocess)
        for score in confidences:
            self._confidence.observe(score)

    def ended(self, mode: str, status: str) -> None:
        """Count a prediction by how it was asked for and how it ended."""
        count = self._counts.get((mode, status))
        if count is None or self._closed:
            series = self._metrics.predictions.labels(self.name, self.version, mode, status)
            if self._closed:
                series.inc()
                return
            count = self._counts[mode, status] = self._metrics.tallies.counter(series)
        count.inc()

    def ran(self, rows: int) -> None:
        """Observe one call of the model."""
        self._batch.observe(rows)

    def loaded(self, info: ModelInfo, memory_bytes: int) -> None:
        """Show the version as one that is in memory."""
        self._info = (self.name, self.version, info.family, info.task, info.device)
        self._metrics.model_memory.labels(self.name, self.version).set(memory_bytes)
        self._metrics.model_loaded.labels(*self._info).set(1)
        if self._run is not None:
            self._metrics.model_run.labels(*self._run).set(1)

    def unloaded(self) -> None:
        """Take away the series that say that it is in memory."""
        if self._info is not None:
            self._metrics.absent(self._metrics.model_memory, self.name, self.version)
            self._metrics.absent(self._metrics.model_loaded, *self._info)
            if self._run is not None:
                self._metrics.absent(self._metrics.model_run, *self._run)
            self._info = None

    def close(self) -> None:
        """Bring all series up to date; what ends later is counted without a detour."""
        self._closed = True
        self._metrics.tallies.drop(
            *self._phases, self._confidence, self._batch, *self._counts.values()
        )
