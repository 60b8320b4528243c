"""The metrics of one process, or of one test; `metering/definitions.py` says what each is.

Where several processes share a folder (`metering/sharing.py`) what is kept here goes into this
process's files, and `registry` shows all of them together.
"""

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from services.core.metering import definitions as d
from services.core.metering.rendering import Renderer
from services.core.metering.sharing import shared
from services.core.metering.together import Together
from services.core.tally import Tallies

CONTENT_TYPE = CONTENT_TYPE_LATEST

# A second series beside each counter, that nothing here reads.
disable_created_metrics()  # type: ignore[no-untyped-call]

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
UNMATCHED = "unmatched"


class Metrics:
    """What a process counts.

    Attributes:
        registry: what is exposed; collectors that are asked at each scrape are registered here.
        own: what this process keeps; the same one where it shares nothing.
        tallies: brought up to date before anything is exposed.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        # First, so that whatever is read after it is complete.
        self.tallies = Tallies(self.registry)
        self._renderer = Renderer()
        self._shared = shared()
        if self._shared is None:
            self.own = self.registry
            # Of one process, and meaningless where several answer in turn: see `program_*`.
            ProcessCollector(registry=self.registry)
            PlatformCollector(registry=self.registry)
            GCCollector(registry=self.registry)
        else:
            self.own = CollectorRegistry()
            self.registry.register(Together(self._shared))
        self._define_requests()
        self._define_predictions()
        self._define_models()

    def _define_requests(self) -> None:
        own = self.own
        self.http_requests = d.HTTP_REQUESTS.counter(own)
        self.http_request_duration = d.HTTP_REQUEST_DURATION.histogram(own)
        self.active_connections = d.ACTIVE_CONNECTIONS.gauge(own)
        self.requests_rejected = d.REQUESTS_REJECTED.counter(own)
        self.file_uploads = d.FILE_UPLOADS.counter(own)
        self.file_upload_size = d.FILE_UPLOAD_SIZE.histogram(own)
        self.ledger_dropped = d.LEDGER_DROPPED.counter(own)
        # There from the start: alerts compare them with zero.
        self.ledger_dropped.labels("full")
        self.requests_rejected.labels("ledger_full")

    def _define_predictions(self) -> None:
        own = self.own
        self.predictions = d.PREDICTIONS.counter(own)
        self.prediction_duration = d.PREDICTION_DURATION.histogram(own)
        self.prediction_confidence = d.PREDICTION_CONFIDENCE.histogram(own)
        self.prediction_errors = d.PREDICTION_ERRORS.counter(own)
        self.prediction_batch_size = d.PREDICTION_BATCH_SIZE.histogram(own)
        self.cache_requests = d.CACHE_REQUESTS.counter(own)

    def _define_models(self) -> None:
        own = self.own
        self.model_memory = d.MODEL_MEMORY.gauge(own)
        self.model_loaded = d.MODEL_LOADED.gauge(own)
        self.model_run = d.MODEL_RUN.gauge(own)
        self.model_load_failing = d.MODEL_LOAD_FAILING.gauge(own)
        self.model_swaps = d.MODEL_SWAPS.counter(own)
        self.model_evictions = d.MODEL_EVICTIONS.counter(own)
        self.model_load_duration = d.MODEL_LOAD_DURATION.histogram(own)
        self._registry_up: Gauge | None = None

    @property
    def registry_up(self) -> Gauge:
        """1 while the registry answers; there from the first look on, for some look at none."""
        if self._registry_up is None:
            self._registry_up = d.REGISTRY_UP.gauge(self.own)
        return self._registry_up

    def absent(self, gauge: Gauge, *labels: str) -> None:
        """Expose a series of a sparse gauge no more."""
        if self._shared is None:
            gauge.remove(*labels)
        else:
            # Nothing is ever taken out of a file.
            gauge.labels(*labels).set(0)

    def exposition(self) -> bytes:
        """Return every metric in Prometheus' text format (`CONTENT_TYPE`). Any thread may ask."""
        return self._renderer.text(self.registry.collect())


def method_label(method: str) -> str:
    """Return a known HTTP method, or OTHER: callers can invent methods without end."""
    return method if method in _METHODS else "OTHER"
