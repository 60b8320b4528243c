"""The last look at the registry, kept on disk so that a restart can serve without MLflow."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from services.registry.catalogue import RegisteredModel, Snapshot, Stage, VersionRef
from services.registry.disk import write_json

_FORMAT = 1
_ROLES = ("production", "previous", "staging", "latest")


def ref_to_json(ref: VersionRef) -> dict[str, Any]:
    """Return a version as JSON values."""
    return {
        "name": ref.name,
        "version": ref.version,
        "source": ref.source,
        "created": ref.created,
        "stage": ref.stage.value,
        "run_id": ref.run_id,
        "tags": dict(ref.tags),
    }


def ref_from_json(value: Mapping[str, Any]) -> VersionRef:
    """Return the version that `ref_to_json` wrote; KeyError, TypeError or ValueError if not."""
    return VersionRef(
        name=str(value["name"]),
        version=str(value["version"]),
        source=str(value["source"]),
        created=int(value["created"]),
        stage=Stage(value["stage"]),
        run_id=value["run_id"],
        tags={str(k): str(v) for k, v in value["tags"].items()},
    )


def save(path: Path, snapshot: Snapshot) -> None:
    """Write a snapshot.

    Raises:
        OSError: the disk does not take it.
    """
    models = {name: _to_json(model) for name, model in snapshot.models.items()}
    write_json(path, {"format": _FORMAT, "models": models})


def load(path: Path, here: Callable[[VersionRef], bool]) -> Snapshot | None:
    """Return the snapshot, stale, with only those versions that are here; None if there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != _FORMAT:
            return None
        models = {name: _from_json(value, here) for name, value in found["models"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    kept = {
        name: model
        for name, model in models.items()
        if any(getattr(model, role) is not None for role in _ROLES)
    }
    return Snapshot(kept, stale=True)


def _to_json(model: RegisteredModel) -> dict[str, Any]:
    refs: dict[str, VersionRef | None] = {role: getattr(model, role) for role in _ROLES}
    return {
        "name": model.name,
        "aliases": dict(model.aliases),
        "description": model.description,
        **{role: None if ref is None else ref_to_json(ref) for role, ref in refs.items()},
    }


def _from_json(value: Mapping[str, Any], here: Callable[[VersionRef], bool]) -> RegisteredModel:
    refs = {}
    for role in _ROLES:
        ref = None if value[role] is None else ref_from_json(value[role])
        refs[role] = ref if ref is not None and here(ref) else None
    return RegisteredModel(
        name=str(value["name"]),
        aliases={str(k): str(v) for k, v in value["aliases"].items()},
        description=str(value["description"]),
        **refs,
    )
