"""Definitions of every Prometheus metric: one object per process, or per test.

Names are free of prefixes, in base units, and of low cardinality: a label value never comes
from a caller unchecked. What may become a label is decided here.
"""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from services.core.tally import Tallies

CONTENT_TYPE = CONTENT_TYPE_LATEST

# A second series beside each counter, that nothing here reads.
disable_created_metrics()  # type: ignore[no-untyped-call]

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
UNMATCHED = "unmatched"

# From a health check's tenth of a millisecond up to the longest deadline.
_HTTP_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_PHASE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_CONFIDENCE = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
_BATCH_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)
_LOAD_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_UPLOAD_BYTES = tuple(float(2**power) for power in range(10, 28, 2))


class Metrics:
    """The metrics of one gateway, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        # First, so that whatever is read after it is complete.
        self.tallies = Tallies(self.registry)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._define_http()
        self._define_predictions()
        self._define_models()
        self._define_ledger()

    def _define_http(self) -> None:
        self.http_requests = Counter(
            "http_requests_total",
            "Requests answered, by route template.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.http_request_duration = Histogram(
            "http_request_duration_seconds",
            "Time from the request's head to the end of its answer.",
            ("method", "route"),
            buckets=_HTTP_SECONDS,
            registry=self.registry,
        )
        self.active_connections = Gauge(
            "active_connections", "Requests being answered now.", registry=self.registry
        )
        self.requests_rejected = Counter(
            "requests_rejected_total",
            "Requests turned away before any model saw them.",
            ("reason",),
            registry=self.registry,
        )
        self.file_uploads = Counter(
            "file_uploads_total",
            "Files received, by what their bytes are.",
            ("type", "status"),
            registry=self.registry,
        )
        self.file_upload_size = Histogram(
            "file_upload_size_bytes",
            "Size of the files received.",
            buckets=_UPLOAD_BYTES,
            registry=self.registry,
        )

    def _define_predictions(self) -> None:
        self.predictions = Counter(
            "predictions_total",
            "Predictions asked for, by how they ended.",
            ("model", "version", "mode", "status"),
            registry=self.registry,
        )
        self.prediction_duration = Histogram(
            "prediction_duration_seconds",
            "Time of a prediction's phase: queue, preprocess, inference, postprocess.",
            ("model", "version", "phase"),
            buckets=_PHASE_SECONDS,
            registry=self.registry,
        )
        self.prediction_confidence = Histogram(
            "prediction_confidence",
            "Scores that a model gave to what it answered.",
            ("model", "version"),
            buckets=_CONFIDENCE,
            registry=self.registry,
        )
        self.prediction_errors = Counter(
            "prediction_errors_total",
            "Predictions without an answer, by the code of their error.",
            ("model", "type"),
            registry=self.registry,
        )

        self.prediction_batch_size = Histogram(
            "prediction_batch_size",
            "Rows that a model predicted together.",
            ("model", "version"),
            buckets=_BATCH_ROWS,
            registry=self.registry,
        )
        self.cache_requests = Counter(
            "cache_requests_total",
            "Looks into the cache of answers: hit, miss, error.",
            ("result",),
            registry=self.registry,
        )

    def _define_models(self) -> None:
        self.model_memory = Gauge(
            "model_memory_bytes",
            "Memory that a model takes, as measured while it was loaded.",
            ("model", "version"),
            registry=self.registry,
        )
        self.model_loaded = Gauge(
            "model_loaded_info",
            "1 for each model in memory.",
            ("model", "version", "family", "task", "device"),
            registry=self.registry,
        )

        self.model_swaps = Counter(
            "model_swaps_total",
            "Changes of the version in production that were followed: swapped, failed.",
            ("model", "result"),
            registry=self.registry,
        )
        self.model_evictions = Counter(
            "model_evictions_total",
            "Versions put out of memory to stay within MEMORY_BUDGET.",
            ("model",),
            registry=self.registry,
        )
        self.model_load_duration = Histogram(
            "model_load_duration_seconds",
            "Time to load and warm a version.",
            ("model",),
            buckets=_LOAD_SECONDS,
            registry=self.registry,
        )
        self.registry_up = Gauge(
            "registry_up",
            "1 while the last look at MLflow's registry succeeded.",
            registry=self.registry,
        )

    def _define_ledger(self) -> None:
        self.ledger_dropped = Counter(
            "ledger_dropped_total",
            "Predictions answered without a record, for want of room (LEDGER_WHEN_FULL=drop).",
            ("reason",),
            registry=self.registry,
        )
        # There from the start: alerts compare them with zero.
        self.ledger_dropped.labels("full")
        self.requests_rejected.labels("ledger_full")

    def exposition(self) -> bytes:
        """Return every metric in Prometheus' text format (`CONTENT_TYPE`)."""
        return generate_latest(self.registry)


def method_label(method: str) -> str:
    """Return a known HTTP method, or OTHER: callers can invent methods without end."""
    return method if method in _METHODS else "OTHER"
