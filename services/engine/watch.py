"""What is counted, timed and logged about each prediction, however it ends."""

import asyncio

from services.core.errors import (
    DeadlineExceededError,
    InvalidInputError,
    LedgerFullError,
    ModelUnavailableError,
    OverloadedError,
    SlipwayError,
)
from services.core.logging import get_logger
from services.core.metrics import Metrics
from services.engine.messages import Timings
from services.engine.meters import Meters

_log = get_logger(__name__)

_STATUS: tuple[tuple[type[SlipwayError], str], ...] = (
    (InvalidInputError, "invalid"),
    (OverloadedError, "overloaded"),
    (DeadlineExceededError, "timeout"),
    (ModelUnavailableError, "unavailable"),
    (LedgerFullError, "unavailable"),
)
_REJECTIONS: tuple[tuple[type[SlipwayError], str], ...] = (
    (OverloadedError, "queue_full"),
    (ModelUnavailableError, "model_unavailable"),
    (LedgerFullError, "ledger_full"),
)


_ADMISSION = "admission"


class Watch:
    """The record of one prediction while it is being made."""

    def __init__(self, metrics: Metrics, mode: str, prediction_id: str) -> None:
        self._metrics = metrics
        self._mode = mode
        self._id = prediction_id
        # Only names of models that exist may become labels.
        self._model, self._version = "unknown", "none"
        self._meters: Meters | None = None
        self.phase = _ADMISSION

    @property
    def begun(self) -> bool:
        """Whether a version has taken the prediction on."""
        return self.phase != _ADMISSION

    def of_model(self, name: str) -> None:
        """The prediction is for a model that is known, whether in memory or not."""
        self._model = name

    def of(self, meters: Meters) -> None:
        """From now on the prediction belongs to this version."""
        self._meters = meters
        self._model, self._version = meters.name, meters.version

    def succeeded(self, timings: Timings, confidences: list[float]) -> None:
        """Count an answered prediction and time its phases."""
        self._count("success")
        if self._meters is not None:
            self._meters.answered(timings, confidences)

    def failed(self, error: BaseException) -> None:
        """Count a prediction without an answer."""
        if isinstance(error, asyncio.CancelledError):
            self._count("cancelled")
            self._metrics.prediction_errors.labels(self._model, "client_gone").inc()
            _log.info("prediction dropped", prediction_id=self._id, phase=self.phase)
            return
        kind = error.code if isinstance(error, SlipwayError) else "internal_error"
        self._metrics.prediction_errors.labels(self._model, kind).inc()
        self._count(next((name for cls, name in _STATUS if isinstance(error, cls)), "error"))
        for cls, reason in _REJECTIONS:
            if isinstance(error, cls):
                self._metrics.requests_rejected.labels(reason).inc()

    def broke(self, error: BaseException) -> None:
        """Log a failure of the model itself, with its traceback."""
        _log.error(
            "prediction failed",
            prediction_id=self._id,
            model=self._model,
            version=self._version,
            phase=self.phase,
            exc_info=error,
        )

    def _count(self, status: str) -> None:
        if self._meters is None:
            self._metrics.predictions.labels(self._model, self._version, self._mode, status).inc()
        else:
            self._meters.ended(self._mode, status)
