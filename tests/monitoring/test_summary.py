"""The summary of metrics whose values are known."""

import pytest

from services.core.metrics import Metrics
from services.monitoring.series import Series
from services.monitoring.summary import started, summary


@pytest.fixture
def metrics() -> Metrics:
    """Return metrics of three requests and three predictions."""
    metrics = Metrics()
    for status, seconds in (("200", 0.002), ("200", 0.004), ("422", 0.004), ("500", 0.2)):
        metrics.http_requests.labels("POST", "/predict", status).inc()
        metrics.http_request_duration.labels("POST", "/predict").observe(seconds)
    metrics.http_requests.labels("GET", "/health", "200").inc()
    metrics.http_request_duration.labels("GET", "/health").observe(0.0005)
    metrics.active_connections.inc()
    metrics.predictions.labels("iris", "3", "sync", "success").inc(2)
    metrics.predictions.labels("iris", "3", "batch", "invalid").inc()
    metrics.predictions.labels("unknown", "none", "sync", "unavailable").inc()
    metrics.prediction_errors.labels("iris", "invalid_input").inc()
    for seconds in (0.003, 0.005):
        metrics.prediction_duration.labels("iris", "3", "inference").observe(seconds)
    metrics.prediction_confidence.labels("iris", "3").observe(0.9)
    metrics.prediction_confidence.labels("iris", "3").observe(0.7)
    metrics.prediction_batch_size.labels("iris", "3").observe(4)
    metrics.requests_rejected.labels("queue_full").inc(5)
    metrics.cache_requests.labels("hit").inc(3)
    metrics.cache_requests.labels("miss").inc(1)
    metrics.file_uploads.labels("jpeg", "accepted").inc(2)
    metrics.file_upload_size.observe(2000)
    metrics.file_upload_size.observe(4000)
    metrics.model_memory.labels("iris", "3").set(1024)
    metrics.model_loaded.labels("iris", "3", "tabular", "tabular-classification", "cpu").set(1)
    return metrics


def test_requests(metrics: Metrics) -> None:
    found = summary(Series(metrics.registry.collect()))["requests"]
    assert (found["count"], found["client_errors"], found["server_errors"]) == (5, 1, 1)
    assert found["active"] == 1
    health, predict = found["routes"]
    assert (health["method"], health["route"], health["count"]) == ("GET", "/health", 1)
    assert (predict["count"], predict["client_errors"], predict["server_errors"]) == (4, 1, 1)
    # Three of four in (1 ms, 5 ms]: rank 2 lies two thirds of the way; the last in (0.1 s, 0.25 s].
    assert predict["seconds"] == {
        "mean": pytest.approx(0.0525),
        "p50": pytest.approx(0.001 + 0.004 * 2 / 3),
        "p95": pytest.approx(0.1 + 0.15 * 0.8),
        "p99": pytest.approx(0.1 + 0.15 * 0.96),
    }
    assert found["seconds"]["p50"] == pytest.approx(0.001 + 0.004 * 1.5 / 3)


def test_predictions(metrics: Metrics) -> None:
    found = summary(Series(metrics.registry.collect()))["predictions"]
    assert found["count"] == 4
    assert found["status"] == {"invalid": 1, "success": 2, "unavailable": 1}
    assert found["errors"] == {"invalid_input": 1}
    iris, unknown = found["models"]
    assert (iris["model"], iris["version"], iris["count"]) == ("iris", "3", 3)
    assert iris["status"] == {"invalid": 1, "success": 2}
    assert iris["mode"] == {"batch": 1, "sync": 2}
    assert list(iris["phases"]) == ["inference"]
    # One in (2.5 ms, 5 ms] and one at its upper bound, which belongs to it.
    assert iris["phases"]["inference"]["mean"] == pytest.approx(0.004)
    assert iris["phases"]["inference"]["p50"] == pytest.approx(0.00375)
    assert iris["confidence"] == {"count": 2, "mean": pytest.approx(0.8)}
    assert iris["batch_size"] == {"count": 1, "mean": 4.0}
    assert (unknown["version"], unknown["status"]) == ("none", {"unavailable": 1})
    assert unknown["confidence"] == {"count": 0, "mean": None}


def test_the_rest(metrics: Metrics) -> None:
    found = summary(Series(metrics.registry.collect()))
    assert found["rejected"] == {"queue_full": 5, "ledger_full": 0}
    assert found["cache"] == {"hit": 3, "miss": 1, "error": 0, "hit_ratio": 0.75}
    assert found["uploads"] == {
        "status": {"accepted": 2},
        "type": {"jpeg": 2},
        "bytes": {"count": 2, "mean": 3000.0},
    }
    memory = found["memory"]
    assert memory["models_bytes"] == 1024
    assert memory["models"] == [
        {
            "model": "iris",
            "version": "3",
            "family": "tabular",
            "task": "tabular-classification",
            "device": "cpu",
            "memory_bytes": 1024,
        }
    ]
    assert memory["process_bytes"] > 1_000_000


def test_nothing_yet() -> None:
    metrics = Metrics()
    found = summary(Series(metrics.registry.collect()))
    assert found["requests"]["routes"] == []
    assert found["requests"]["seconds"]["p50"] is None
    assert found["cache"]["hit_ratio"] is None
    assert summary(Series([]))["memory"]["process_bytes"] is None
    began = started(Series(metrics.registry.collect()))
    assert began is not None and began > 1_600_000_000
