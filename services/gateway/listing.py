"""Models as the API lists them: what the registry says and what is in memory, put together."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from services.core.signature import Field, Signature
from services.engine.status import ModelStatus
from services.registry.catalogue import RegisteredModel, Snapshot, Stage, VersionRef


def models(snapshot: Snapshot | None, statuses: Iterable[ModelStatus]) -> list[dict[str, Any]]:
    """Return every model that is registered or in memory, by name."""
    registered = {} if snapshot is None else snapshot.models
    known = {status.name: status for status in statuses}
    return [
        model(name, registered.get(name), known.get(name)) for name in sorted({*registered, *known})
    ]


def model(
    name: str, registered: RegisteredModel | None, status: ModelStatus | None
) -> dict[str, Any]:
    """Return one model: who holds which stage, and what of it is in memory."""
    if registered is None:
        # What comes with Slipway has one version, and that one serves.
        own = None if status is None else status.serving or status.wanted
        stages = _stages(own, Stage.PRODUCTION, own, None, None)
    else:
        latest = registered.latest
        stages = _stages(
            number(latest),
            None if latest is None else latest.stage,
            number(registered.production),
            number(registered.staging),
            number(registered.previous),
        )
    return {"name": name, **stages, **_in_memory(status)}


def holds(entry: dict[str, Any], stage: Stage) -> bool:
    """Whether a model of the list has a version in a stage, as far as the list shows it."""
    if stage in (Stage.PRODUCTION, Stage.STAGING):
        return entry[f"{stage}_version"] is not None
    return bool(entry["latest_stage"] == stage.title)


def version(ref: VersionRef) -> dict[str, Any]:
    """Return one registered version."""
    return {
        "version": ref.version,
        "stage": ref.stage.title,
        "run_id": ref.run_id,
        "created": _time(ref.created / 1000),
        "tags": dict(ref.tags),
    }


def number(ref: VersionRef | None) -> str | None:
    """Return a version's number, if there is one."""
    return None if ref is None else ref.version


def signature(found: Signature | None) -> dict[str, Any] | None:
    """Return a model's inputs, outputs and parameters."""
    if found is None:
        return None
    return {
        "inputs": [_field(field) for field in found.inputs],
        "outputs": [_field(field) for field in found.outputs],
        "params": [
            {"name": param.name, "type": param.type, "default": param.default}
            for param in found.params
        ],
    }


def input_form(field: str | None, takes: str, found: Signature | None) -> str:
    """Say in a sentence what `POST /models/{name}/predict` takes."""
    if takes == "picture":
        return "a form (multipart/form-data) with a JPEG, PNG or WEBP in the field file"
    forms = [] if field is None else [field]
    if found is not None and any(part.is_tensor for part in found.inputs):
        forms.append("inputs (nested lists, or an object of them by name)")
    else:
        forms.append("inputs (a list of records, a list of rows, or columns)")
    params = " and params" if found is not None and found.params else ""
    return f"a JSON object with {' or '.join(forms)}{params}"


def failure(status: ModelStatus) -> dict[str, Any] | None:
    """Return why the version that should serve does not."""
    if status.failure is None:
        return None
    found = status.failure
    return {
        "version": found.version,
        "reason": found.reason,
        "since": _time(found.since),
        "next_try": None if found.next_try is None else _time(found.next_try),
    }


def _stages(
    latest: str | None,
    stage: Stage | None,
    production: str | None,
    staging: str | None,
    previous: str | None,
) -> dict[str, Any]:
    return {
        "latest_version": latest,
        "latest_stage": None if latest is None or stage is None else stage.title,
        "production_version": production,
        "staging_version": staging,
        "previous_version": previous,
    }


def _in_memory(status: ModelStatus | None) -> dict[str, Any]:
    if status is None:
        return {
            "family": None,
            "task": None,
            "state": "idle",
            "serving_version": None,
            "memory_bytes": 0,
            "placement": None,
            "failure": None,
            "versions_in_memory": [],
        }
    return {
        "family": status.family,
        "task": status.task,
        "state": str(status.state),
        "serving_version": status.serving,
        "memory_bytes": sum(one.memory_bytes for one in status.versions),
        "placement": status.placement,
        "failure": failure(status),
        "versions_in_memory": [
            {
                "version": one.version,
                "stage": one.stage.title,
                "state": str(one.state),
                "memory_bytes": one.memory_bytes,
                "device": one.device,
                "in_flight": one.in_flight,
                "last_used": _time(one.last_used) if one.last_used else None,
            }
            for one in status.versions
        ],
    }


def _field(field: Field) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": field.name, "type": field.type, "required": field.required}
    if field.is_tensor:
        shown |= {"dtype": field.dtype, "shape": list(field.shape or ())}
    return shown


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
