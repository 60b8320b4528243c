"""Live quality as metrics: what they are called."""

from services.core.metering.definition import Definition

_SOURCE = "feedback; read from the ledger's database at each scrape"
_VERSION = ("model", "version")

QUALITY = Definition(
    "prediction_quality",
    "gauge",
    "How well the newest judged predictions of a version agree with what people said was right:"
    " accuracy, f1, ap, ap50, box_ap, box_ap50, r2 (higher is better), mae, rmse (lower is).",
    (*_VERSION, "metric"),
    source=_SOURCE,
    unit="0 to 1; of mae and rmse that of the numbers",
)
SAMPLES = Definition(
    "prediction_quality_samples",
    "gauge",
    "Judged predictions in the window that the quality of a version is computed from.",
    _VERSION,
    source=_SOURCE,
    unit="predictions",
)
REFERENCE = Definition(
    "prediction_quality_reference",
    "gauge",
    "The same measure on held-out data, as the run that made the version logged it.",
    (*_VERSION, "metric"),
    source="MLflow's run of the version; kept in the ledger's database",
    unit="as prediction_quality",
)
COMPUTED = Definition(
    "prediction_quality_computed_timestamp_seconds",
    "gauge",
    "When the quality of a version was last computed.",
    _VERSION,
    source=_SOURCE,
    unit="seconds since 1970",
)
FEEDBACK = Definition(
    "feedback_total",
    "counter",
    "What people said about predictions: feedback (a judgement), expectation (the right answer).",
    (*_VERSION, "kind"),
    source=_SOURCE,
)
UNCOUNTED = Definition(
    "feedback_uncounted_total",
    "counter",
    "Right answers that do not count towards the quality: the prediction failed (no_answer), its"
    " answer is not on record any more (no_output), its family has no measure (no_measure).",
    (*_VERSION, "reason"),
    source=_SOURCE,
)
DEFINITIONS = (QUALITY, SAMPLES, REFERENCE, COMPUTED, FEEDBACK, UNCOUNTED)
