"""The metrics in a few numbers. All of them come from the registry that `GET /metrics` shows."""

from collections.abc import Mapping
from typing import Any

from services.monitoring.distribution import Distribution, merged
from services.monitoring.quality_summary import quality
from services.monitoring.series import Key, Series

_PHASES = ("queue", "preprocess", "inference", "postprocess")
_GATEWAY = ("gateway",)
_SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def summary(series: Series) -> dict[str, Any]:
    """Return JSON values: `requests`, `predictions`, `rejected`, `cache`, `uploads` and so on.

    Counts are since the start of the process, or of the first of those that share their metrics.
    Times are seconds; quantiles are estimated from the histograms' buckets (see
    `Distribution.quantile`) and null without observations.
    """
    return {
        "requests": _requests(series),
        "predictions": _predictions(series),
        "rejected": _named(series.by("requests_rejected_total", "reason")),
        "cache": _cache(series),
        "uploads": _uploads(series),
        "memory": _memory(series),
        "queues": _queues(series),
        "quality": quality(series),
    }


def started(series: Series) -> float | None:
    """Return when the oldest gateway began, in seconds since 1970; None where nobody says."""
    found = series.by("program_start_time_seconds", "program").get(_GATEWAY)
    return series.value("process_start_time_seconds") if found is None else found


def _requests(series: Series) -> dict[str, Any]:
    counts = series.by("http_requests_total", "method", "route", "status")
    times = series.distributions("http_request_duration_seconds", "method", "route")
    routes = [
        {
            "method": method,
            "route": route,
            **_answers({key: n for key, n in counts.items() if key[:2] == (method, route)}),
            "seconds": spread(times.get((method, route))),
        }
        for method, route in sorted({key[:2] for key in counts}, key=lambda key: key[::-1])
    ]
    return {
        **_answers(counts),
        "active": int(series.value("active_connections") or 0),
        "seconds": spread(merged(times.values())),
        "routes": routes,
    }


def _answers(counts: Mapping[Key, float]) -> dict[str, int]:
    """Count answers by the first figure of their status, which is the key's last part."""

    def of(figure: str) -> int:
        return int(sum(n for key, n in counts.items() if key[-1].startswith(figure)))

    return {
        "count": int(sum(counts.values())),
        "client_errors": of("4"),
        "server_errors": of("5"),
    }


def _predictions(series: Series) -> dict[str, Any]:
    counts = series.by("predictions_total", "model", "version", "status")
    modes = series.by("predictions_total", "model", "version", "mode")
    phases = series.distributions("prediction_duration_seconds", "model", "version", "phase")
    confidence = series.distributions("prediction_confidence", "model", "version")
    batches = series.distributions("prediction_batch_size", "model", "version")
    errors = series.by("prediction_errors_total", "model", "type")
    models = [
        {
            "model": model,
            "version": version,
            "count": int(sum(_under(counts, model, version).values())),
            "status": _under(counts, model, version),
            "mode": _under(modes, model, version),
            "phases": {
                phase: spread(phases[model, version, phase])
                for phase in _PHASES
                if (model, version, phase) in phases
            },
            "confidence": _middle(confidence.get((model, version))),
            "batch_size": _middle(batches.get((model, version))),
        }
        for model, version in sorted({key[:2] for key in counts})
    ]
    return {
        "count": int(sum(counts.values())),
        "status": _named(series.by("predictions_total", "status")),
        "errors": _named(series.by("prediction_errors_total", "type")),
        "errors_by_model": {
            model: {type_: int(n) for (of, type_), n in sorted(errors.items()) if of == model}
            for model in sorted({key[0] for key in errors})
        },
        "models": models,
    }


def _cache(series: Series) -> dict[str, Any]:
    found = {"hit": 0, "miss": 0, "error": 0, **_named(series.by("cache_requests_total", "result"))}
    looked = found["hit"] + found["miss"]
    return {**found, "hit_ratio": found["hit"] / looked if looked else None}


def _uploads(series: Series) -> dict[str, Any]:
    sizes = series.distributions("file_upload_size_bytes")
    return {
        "status": _named(series.by("file_uploads_total", "status")),
        "type": _named(series.by("file_uploads_total", "type")),
        "bytes": _middle(sizes.get(())),
    }


def _memory(series: Series) -> dict[str, Any]:
    held = series.by("model_memory_bytes", "model", "version")
    models = [
        {**labels, "memory_bytes": int(held.get((labels["model"], labels["version"]), 0))}
        for labels in sorted(
            series.labels("model_loaded_info"), key=lambda one: (one["model"], one["version"])
        )
    ]
    programs = series.by("program_resident_memory_bytes", "program")
    process = programs.get(_GATEWAY, series.value("process_resident_memory_bytes"))
    return {
        "process_bytes": None if process is None else int(process),
        "programs": _named(programs),
        "models_bytes": int(sum(held.values())),
        "models": models,
    }


def _queues(series: Series) -> list[dict[str, Any]]:
    age = series.by("job_age_seconds", "queue")
    counts = {
        name: series.by(metric, "queue")
        for name, metric in (
            ("waiting", "jobs_queue_depth"),
            ("running", "jobs_running"),
            ("dead_letters", "job_dead_letters"),
            ("workers", "workers"),
        )
    }
    return [
        {
            "queue": queue,
            "oldest_seconds": age.get((queue,), 0.0),
            **{name: int(found.get((queue,), 0)) for name, found in counts.items()},
        }
        for (queue,) in sorted(counts["waiting"])
    ]


def spread(found: Distribution | None) -> dict[str, float | None]:
    """Return mean and quantiles."""
    if found is None:
        return {"mean": None, **dict.fromkeys(_SHARES)}
    return {
        "mean": found.mean,
        **{name: found.quantile(share) for name, share in _SHARES.items()},
    }


def _middle(found: Distribution | None) -> dict[str, Any]:
    """Return count and mean."""
    found = found or Distribution(0, 0.0, ())
    return {"count": found.count, "mean": found.mean}


def _under(counts: Mapping[Key, float], model: str, version: str) -> dict[str, int]:
    return {key[2]: int(n) for key, n in sorted(counts.items()) if key[:2] == (model, version)}


def _named(counts: Mapping[Key, float]) -> dict[str, int]:
    return {key[0]: int(n) for key, n in sorted(counts.items())}
