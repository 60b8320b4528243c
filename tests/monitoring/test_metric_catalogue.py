"""`docs/metrics.md` is what the definitions say, and they are what is exposed."""

import re
from pathlib import Path

import pytest

from services.core.metering.definition import Definition
from services.core.metrics import Metrics
from services.monitoring import metric_catalogue
from services.monitoring.metric_catalogue import every, render, unit
from services.monitoring.seed_metrics import SEEDS

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
# As they stand in the documents that Slipway is built from.
NAMED = {
    "api_requests_total",
    "api_request_duration_seconds",
    "predictions_total",
    "prediction_duration_seconds",
    "api_errors_total",
    "ml_geometry_predictions_total",
    "ml_geometry_prediction_latency_seconds",
    "ml_geometry_average_confidence",
    "ml_geometry_errors_total",
    "ml_geometry_prediction_drift",
}
# The words for metrics that the design fixes.
FIXED = {
    "http_requests_total": {"method", "route", "status"},
    "http_request_duration_seconds": {"method", "route"},
    "predictions_total": {"model", "version", "mode", "status"},
    "prediction_duration_seconds": {"model", "version", "phase"},
    "prediction_confidence": {"model", "version"},
    "prediction_batch_size": {"model", "version"},
    "prediction_errors_total": {"model", "type"},
    "prediction_drift_score": {"model", "feature"},
    "prediction_quality": {"model", "version", "metric"},
    "file_uploads_total": {"type", "status"},
    "file_upload_size_bytes": set(),
    "active_connections": set(),
    "model_memory_bytes": {"model", "version"},
    "model_loaded_info": {"model", "version", "family", "task", "device"},
    "jobs_total": {"queue", "status"},
    "jobs_queue_depth": {"queue"},
    "job_age_seconds": {"queue"},
    "ledger_pending": set(),
    "ledger_dropped_total": {"reason"},
    "cache_requests_total": {"result"},
    "requests_rejected_total": {"reason"},
}


def test_the_page_is_current() -> None:
    command = f"python -m {metric_catalogue.__name__} > docs/metrics.md"
    assert PAGE.read_text(encoding="utf-8") == render(), command


def test_what_the_design_fixes() -> None:
    known = {one.name: set(one.labels) for one in every()}
    assert {name: known.get(name) for name in FIXED} == FIXED


def test_every_name_of_the_documents_is_mapped_to_one_of_ours() -> None:
    names = {name for seed in SEEDS for name in re.findall(r"`(\w+)`", seed.said)}
    assert names == NAMED
    known = {one.name for one in every()}
    assert {name for seed in SEEDS for name in seed.ours} <= known
    assert all(seed.ours for seed in SEEDS)


@pytest.mark.parametrize("one", every(), ids=lambda one: one.name)
def test_definitions_are_whole(one: Definition) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", one.name)
    assert one.text.endswith(".") and one.source and unit(one)
    assert (one.type == "counter") == one.name.endswith("_total")
    assert (one.type == "histogram") == bool(one.buckets)
    assert list(one.buckets) == sorted(set(one.buckets))


def test_no_name_is_given_twice() -> None:
    names = [one.name for one in every()]
    assert len(names) == len(set(names))


def test_what_a_process_keeps_is_defined() -> None:
    known = {one.name: one for one in every()}
    for family in Metrics().own.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        if not name.startswith(("process_", "python_")):
            assert (known[name].type, known[name].text) == (family.type, family.documentation)
