"""The metrics that the documents name from which Slipway is built, and what each is called here."""

from typing import NamedTuple

_PORTFOLIO = "ML Portfolio Backend"
_COMPLETE = "MLOps Complete Architecture"
_NUMBERS = "VNIT MT24AAI Team 12"
_PLATFORM = "MLOps Platform"
_GEOMETRY = "ML Geometry"


class Seed(NamedTuple):
    """A metric of a document: its name there, in code type, or what is said of it."""

    document: str
    said: str
    ours: tuple[str, ...]
    note: str = ""


SEEDS: tuple[Seed, ...] = (
    Seed(
        _PORTFOLIO,
        "HTTP requests: total, duration, status codes",
        ("http_requests_total", "http_request_duration_seconds"),
    ),
    Seed(
        _PORTFOLIO,
        "model predictions: count, duration, success rate",
        ("predictions_total", "prediction_duration_seconds"),
        "`status` is success, invalid, overloaded, timeout, unavailable, cancelled or error",
    ),
    Seed(
        _PORTFOLIO,
        "file uploads: count, sizes, success rate",
        ("file_uploads_total", "file_upload_size_bytes"),
    ),
    Seed(
        _PORTFOLIO,
        "system: memory usage, active connections",
        ("program_resident_memory_bytes", "memory_available_bytes", "active_connections"),
    ),
    Seed(
        _PORTFOLIO,
        "Celery: tasks, worker health",
        ("jobs_total", "jobs_queue_depth", "job_age_seconds", "workers"),
    ),
    Seed(_COMPLETE, "`api_requests_total`", ("http_requests_total",)),
    Seed(_COMPLETE, "`api_request_duration_seconds`", ("http_request_duration_seconds",)),
    Seed(_COMPLETE, "`predictions_total`", ("predictions_total",), "the same name"),
    Seed(
        _COMPLETE,
        "`prediction_duration_seconds`",
        ("prediction_duration_seconds",),
        'the same name; inference alone is `phase="inference"`',
    ),
    Seed(
        _COMPLETE,
        "`api_errors_total`",
        ("http_requests_total", "prediction_errors_total", "requests_rejected_total"),
        "requests by `status`, predictions by `type`, those turned away by `reason`",
    ),
    Seed(
        _COMPLETE,
        "boards: request rate, latency percentiles, error rate, inference time, total predictions",
        (
            "http_requests_total",
            "http_request_duration_seconds",
            "prediction_duration_seconds",
            "predictions_total",
        ),
    ),
    Seed(
        _NUMBERS,
        "health checks, response time tracking, exception tracking",
        ("service_up", "http_request_duration_seconds", "prediction_errors_total"),
    ),
    Seed(
        _NUMBERS,
        "MLflow: accuracy, F1-score",
        ("prediction_quality", "prediction_quality_reference"),
        "live, from feedback, and at registration; training's own curves are in MLflow",
    ),
    Seed(_PLATFORM, "drift (`/drift/status`)", ("prediction_drift_score",)),
    Seed(
        _GEOMETRY,
        "`ml_geometry_predictions_total`",
        ("predictions_total",),
        "by model and version; a change among the classes is `prediction_drift_score` with"
        ' `feature="_prediction"`',
    ),
    Seed(_GEOMETRY, "`ml_geometry_prediction_latency_seconds`", ("prediction_duration_seconds",)),
    Seed(
        _GEOMETRY,
        "`ml_geometry_average_confidence`",
        ("prediction_confidence",),
        "a histogram: the average is `_sum` by `_count`",
    ),
    Seed(_GEOMETRY, "`ml_geometry_errors_total`", ("prediction_errors_total",)),
    Seed(
        _GEOMETRY,
        "`ml_geometry_prediction_drift`",
        ("prediction_drift_score", "prediction_drift_detected"),
    ),
)
