"""Triton's statistics of models, read from the metrics that the process keeps anyway."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.registry import Collector

from services.engine.status import ModelStatus, VersionStatus

# Triton's names for the phases of a prediction.
_PHASES = {
    "queue": "queue",
    "preprocess": "compute_input",
    "inference": "compute_infer",
    "postprocess": "compute_output",
}
_NANO = 1e9

# Model and version.
Key = tuple[str, str]


@dataclass(slots=True)
class Counted:
    """What was counted of one version since the process began; seconds by phase."""

    success: int = 0
    fail: int = 0
    rows: int = 0
    calls: int = 0
    times: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def read(metrics: Collector) -> dict[Key, Counted]:
    """Return what the metrics say of each version."""
    found: defaultdict[Key, Counted] = defaultdict(Counted)
    for family in metrics.collect():
        if not family.name.startswith("prediction"):
            continue
        for sample in family.samples:
            labels, value = sample.labels, sample.value
            one = found[labels.get("model", ""), labels.get("version", "")]
            match sample.name:
                case "predictions_total" if labels["status"] == "success":
                    one.success += int(value)
                case "predictions_total":
                    one.fail += int(value)
                case "prediction_batch_size_sum":
                    one.rows = int(value)
                case "prediction_batch_size_count":
                    one.calls = int(value)
                case "prediction_duration_seconds_sum":
                    one.seconds[labels["phase"]] = value
                case "prediction_duration_seconds_count":
                    one.times[labels["phase"]] = int(value)
    return found


def statistics(
    counted: dict[Key, Counted], statuses: Iterable[ModelStatus]
) -> list[dict[str, Any]]:
    """Return an entry for each version that is in memory or was asked here before."""
    entries = []
    for status in statuses:
        here = {one.version: one for one in status.versions}
        before = {
            version
            for (name, version), one in counted.items()
            if name == status.name and version != "none" and one.success + one.fail
        }
        for version in sorted({*here, *before}, key=lambda text: (len(text), text)):
            one = counted.get((status.name, version), Counted())
            entries.append(_entry(status.name, version, one, here.get(version)))
    return sorted(entries, key=lambda entry: str(entry["name"]))


def _entry(name: str, version: str, one: Counted, here: VersionStatus | None) -> dict[str, Any]:
    asked = here is not None and one.success + one.fail > 0
    phases = {
        theirs: _duration(one.times.get(ours, 0), one.seconds.get(ours, 0.0))
        for ours, theirs in _PHASES.items()
    }
    return {
        "name": name,
        "version": version,
        "last_inference": round(here.last_used * 1000) if here is not None and asked else 0,
        "inference_count": one.rows,
        "execution_count": one.calls,
        "inference_stats": {
            "success": _duration(one.success, sum(one.seconds.values())),
            # How long the failed ones took is not measured.
            "fail": _duration(one.fail, 0.0),
            **phases,
        },
        "batch_stats": [],
        "memory_usage": [] if here is None else [_memory(here)],
    }


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": round(seconds * _NANO)}


def _memory(here: VersionStatus) -> dict[str, Any]:
    kind, _, number = here.device.partition(":")
    on_gpu = kind not in ("cpu", "")
    return {
        "type": "GPU" if on_gpu else "CPU",
        "id": int(number) if number.isdigit() else 0,
        "byte_size": here.memory_bytes,
    }
