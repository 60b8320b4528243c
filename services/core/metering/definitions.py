"""The metrics that processes keep themselves. What is read at a scrape is defined by its collector.

Names are free of prefixes, in base units, and of low cardinality: a label value never comes from a
caller unchecked.
"""

from services.core.metering.definition import Definition

_LOOP, _ENGINE, _LOADER = "gateway, each request", "engine, each prediction", "engine, each load"
_PROGRAM = "each of our processes, of itself, every second"

# From a health check's tenth of a millisecond up to the longest deadline.
_HTTP_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
# A small model's phases last tens of microseconds, a segmentation on two cores ten seconds.
_PHASE_SECONDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
    10, 30,
)  # fmt: skip
# Finer near 1, where well-trained models are, and at a half, below which they are unsure.
_CONFIDENCE = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
# Powers of two, up to the largest batch that MAX_BATCH_SIZE sensibly is.
_BATCH_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)
_LOAD_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
# 1 kB to 64 MB, by fours; MAX_FILE_SIZE is 10 MB by default.
_UPLOAD_BYTES = tuple(float(2**power) for power in range(10, 28, 2))

# --- requests --------------------------------------------------------------------------------

HTTP_REQUESTS = Definition(
    "http_requests_total",
    "counter",
    "Requests answered, by route template.",
    ("method", "route", "status"),
    _LOOP,
)
HTTP_REQUEST_DURATION = Definition(
    "http_request_duration_seconds",
    "histogram",
    "Time from the request's head to the end of its answer.",
    ("method", "route"),
    _LOOP,
    buckets=_HTTP_SECONDS,
)
ACTIVE_CONNECTIONS = Definition(
    "active_connections",
    "gauge",
    "Requests being answered now.",
    source=_LOOP,
    unit="requests",
    # Each gateway answers its own.
    across="livesum",
)
REQUESTS_REJECTED = Definition(
    "requests_rejected_total",
    "counter",
    "Requests turned away before any model saw them.",
    ("reason",),
    "gateway and engine",
)
FILE_UPLOADS = Definition(
    "file_uploads_total",
    "counter",
    "Files received, by what their bytes are.",
    ("type", "status"),
    "gateway, each file",
)
FILE_UPLOAD_SIZE = Definition(
    "file_upload_size_bytes",
    "histogram",
    "Size of the files received.",
    source="gateway, each file",
    buckets=_UPLOAD_BYTES,
)

# --- predictions -----------------------------------------------------------------------------

PREDICTIONS = Definition(
    "predictions_total",
    "counter",
    "Predictions asked for, by how they ended.",
    ("model", "version", "mode", "status"),
    _ENGINE,
)
PREDICTION_DURATION = Definition(
    "prediction_duration_seconds",
    "histogram",
    "Time of a prediction's phase: queue, preprocess, inference, postprocess.",
    ("model", "version", "phase"),
    _ENGINE,
    buckets=_PHASE_SECONDS,
)
PREDICTION_CONFIDENCE = Definition(
    "prediction_confidence",
    "histogram",
    "Scores that a model gave to what it answered.",
    ("model", "version"),
    _ENGINE,
    unit="0 to 1",
    buckets=_CONFIDENCE,
)
PREDICTION_ERRORS = Definition(
    "prediction_errors_total",
    "counter",
    "Predictions without an answer, by the code of their error.",
    ("model", "type"),
    _ENGINE,
)
PREDICTION_BATCH_SIZE = Definition(
    "prediction_batch_size",
    "histogram",
    "Rows that a model predicted together.",
    ("model", "version"),
    "engine, each call of a model",
    unit="rows",
    buckets=_BATCH_ROWS,
)
CACHE_REQUESTS = Definition(
    "cache_requests_total",
    "counter",
    "Looks into the cache of answers: hit, miss, error.",
    ("result",),
    "engine, each prediction that may be cached",
)

# --- models ----------------------------------------------------------------------------------

MODEL_MEMORY = Definition(
    "model_memory_bytes",
    "gauge",
    "Memory that a model takes, as measured while it was loaded; of all processes together.",
    ("model", "version"),
    _LOADER,
    # A version that is in three processes takes its memory three times.
    across="livesum",
    sparse=True,
)
MODEL_LOADED = Definition(
    "model_loaded_info",
    "gauge",
    "1 for each version that is in a process's memory.",
    ("model", "version", "family", "task", "device"),
    _LOADER,
    unit="1",
    across="livemax",
    sparse=True,
)
MODEL_RUN = Definition(
    "model_run_info",
    "gauge",
    "1 for each version in memory that a run in MLflow made, with the run's id.",
    ("model", "version", "run_id"),
    _LOADER,
    unit="1",
    across="livemax",
    sparse=True,
)
MODEL_LOAD_FAILING = Definition(
    "model_load_failing",
    "gauge",
    "1 while a version that should be in memory fails to load.",
    ("model", "version"),
    "engine, what it has to load",
    unit="1",
    # One process in which it fails is one too many.
    across="livemax",
    sparse=True,
)
MODEL_SWAPS = Definition(
    "model_swaps_total",
    "counter",
    "Changes of the version in production that were followed: swapped, failed.",
    ("model", "result"),
    _LOADER,
)
MODEL_EVICTIONS = Definition(
    "model_evictions_total",
    "counter",
    "Versions put out of memory to stay within MEMORY_BUDGET.",
    ("model",),
    _LOADER,
)
MODEL_LOAD_DURATION = Definition(
    "model_load_duration_seconds",
    "histogram",
    "Time to load and warm a version.",
    ("model",),
    _LOADER,
    buckets=_LOAD_SECONDS,
)
REGISTRY_UP = Definition(
    "registry_up",
    "gauge",
    "1 while the last look at MLflow's registry succeeded, in every process that follows it.",
    source="engine, each look at the registry",
    unit="1",
    # One that is cut off serves old versions while the others swap.
    across="livemin",
)

# --- records ---------------------------------------------------------------------------------

LEDGER_DROPPED = Definition(
    "ledger_dropped_total",
    "counter",
    "Predictions answered without a record, for want of room (LEDGER_WHEN_FULL=drop).",
    ("reason",),
    "gateway and workers, each prediction",
)

# --- our own processes -----------------------------------------------------------------------

PROGRAM_MEMORY = Definition(
    "program_resident_memory_bytes",
    "gauge",
    "Memory of the processes of a program, by kind; pages that they share count for each.",
    ("program",),
    _PROGRAM,
    across="livesum",
)
PROGRAM_CPU = Definition(
    "program_cpu_seconds_total",
    "counter",
    "Processor time that the processes of a program have used, those that have ended included.",
    ("program",),
    _PROGRAM,
)
PROGRAM_PROCESSES = Definition(
    "program_processes",
    "gauge",
    "Processes of a program that live: gateway, ledger, beat, worker-interactive and so on.",
    ("program",),
    _PROGRAM,
    unit="processes",
    across="livesum",
)
PROGRAM_FILES = Definition(
    "program_open_fds",
    "gauge",
    "Files and sockets that the processes of a program have open.",
    ("program",),
    _PROGRAM,
    unit="files",
    across="livesum",
)
PROGRAM_START = Definition(
    "program_start_time_seconds",
    "gauge",
    "When the oldest living process of a program was started, in seconds since 1970.",
    ("program",),
    _PROGRAM,
    across="livemin",
)

DEFINITIONS = tuple(one for one in list(globals().values()) if isinstance(one, Definition))
BY_NAME = {one.name: one for one in DEFINITIONS}
