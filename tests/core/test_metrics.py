"""Metrics: the names that the rest of the system relies on, and labels within bounds."""

import pytest

from services.core.metrics import Metrics, method_label

NAMES = {
    "http_requests",
    "http_request_duration_seconds",
    "predictions",
    "prediction_duration_seconds",
    "prediction_confidence",
    "prediction_errors",
    "file_uploads",
    "file_upload_size_bytes",
    "active_connections",
    "model_memory_bytes",
    "model_loaded_info",
    "requests_rejected",
}


def test_the_names() -> None:
    found = {family.name for family in Metrics().registry.collect()}
    assert found >= NAMES
    assert "process_resident_memory_bytes" in found
    assert "python_info" in found


def test_two_sets_do_not_share_values() -> None:
    one, other = Metrics(), Metrics()
    one.requests_rejected.labels("queue_full").inc()
    assert b"queue_full" in one.exposition()
    assert b"queue_full" not in other.exposition()


def test_no_series_that_nobody_reads() -> None:
    metrics = Metrics()
    metrics.requests_rejected.labels("queue_full").inc()
    assert b"_created" not in metrics.exposition()


@pytest.mark.parametrize(("method", "label"), [("GET", "GET"), ("BREW", "OTHER"), ("get", "OTHER")])
def test_methods_are_bounded(method: str, label: str) -> None:
    assert method_label(method) == label
