"""What is exposed about records on their way to MLflow."""

from services.core.metering.definition import Definition

_STATUS = "the shipper's status.json, written every second; read at each scrape of a gateway"

SHIPPER_UP = Definition(
    "ledger_shipper_up",
    "gauge",
    "1 while the shipper says something.",
    source=_STATUS,
    unit="0 or 1",
)
PENDING_BYTES = Definition(
    "ledger_pending_bytes",
    "gauge",
    "Bytes of the journal.",
    source="the journal's folder, at each scrape of a gateway",
)
BYTES_LIMIT = Definition(
    "ledger_bytes_limit", "gauge", "LEDGER_MAX_BYTES.", (), "settings", "bytes"
)
MLFLOW_UP = Definition(
    "ledger_mlflow_up",
    "gauge",
    "1 while the shipper reaches MLflow; not there where none is configured.",
    source=_STATUS,
    unit="0 or 1",
)
TRACES = Definition(
    "ledger_traces_total",
    "counter",
    "Predictions by what became of their trace.",
    ("result",),
    _STATUS,
)
# By key of the status.
FIGURES = {
    "pending": Definition(
        "ledger_pending",
        "gauge",
        "Predictions in the journal that are not in MLflow yet.",
        source=_STATUS,
        unit="predictions",
    ),
    "oldest_seconds": Definition(
        "ledger_oldest_seconds",
        "gauge",
        "Age of the oldest prediction in the journal.",
        source=_STATUS,
    ),
    "unindexed_bytes": Definition(
        "ledger_unindexed_bytes",
        "gauge",
        "Bytes of the journal not in the database yet.",
        source=_STATUS,
    ),
    "trace_share": Definition(
        "ledger_trace_share",
        "gauge",
        "Share of the ordinary predictions that get a trace.",
        source=_STATUS,
        unit="0 to 1",
    ),
    "trace_backlog": Definition(
        "ledger_trace_backlog",
        "gauge",
        "Predictions whose trace is still to be decided.",
        source=_STATUS,
        unit="predictions",
    ),
    "dead_letters": Definition(
        "ledger_dead_letters",
        "gauge",
        "Records and traces that MLflow refused for good.",
        source=_STATUS,
        unit="records",
    ),
    "feedback_pending": Definition(
        "ledger_feedback_pending",
        "gauge",
        "Feedback that is not in MLflow yet.",
        source=_STATUS,
        unit="assessments",
    ),
    "rows_stored": Definition(
        "ledger_rows_stored_total",
        "counter",
        "Predictions stored in MLflow as Parquet.",
        source=_STATUS,
    ),
    "damaged_bytes": Definition(
        "ledger_damaged_bytes_total",
        "counter",
        "Bytes of the journal that belong to no record.",
        source=_STATUS,
    ),
    "feedback_attached": Definition(
        "ledger_feedback_attached_total",
        "counter",
        "Feedback attached to its trace.",
        source=_STATUS,
    ),
}
DEFINITIONS = (SHIPPER_UP, PENDING_BYTES, BYTES_LIMIT, MLFLOW_UP, TRACES, *FIGURES.values())
