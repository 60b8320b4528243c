"""Triton's configuration of a model, made of its metadata and of how the engine runs it."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.core.settings import Settings
from services.families.base import Model

_BACKEND = "slipway"


def config(metadata: Mapping[str, Any], model: Model, settings: Settings) -> dict[str, Any]:
    """Return the configuration of a version in memory.

    Args:
        metadata: what `GET /v2/models/{name}` answers for this version.
    """
    rows = max(1, min(model.max_batch, settings.max_batch_size))
    tensors = [*metadata["inputs"], *metadata["outputs"]]
    # Triton leaves the rows out of `dims`, so that every tensor must have them.
    batched = rows > 1 and all(one["shape"][:1] == [-1] for one in tensors)
    found: dict[str, Any] = {
        "name": metadata["name"],
        "platform": metadata["platform"],
        "backend": _BACKEND,
        "version_policy": _policy(metadata["versions"]),
        "max_batch_size": rows if batched else 0,
        "input": [_tensor(one, batched=batched) for one in metadata["inputs"]],
        "output": [_tensor(one, batched=batched) for one in metadata["outputs"]],
        "instance_group": [_instance(model)],
    }
    if batched:
        # What waits runs together; nothing ever waits for more to come.
        found["dynamic_batching"] = {
            "preferred_batch_size": [],
            "max_queue_delay_microseconds": 0,
        }
    return found


def _tensor(one: Mapping[str, Any], *, batched: bool) -> dict[str, Any]:
    datatype = "STRING" if one["datatype"] == "BYTES" else one["datatype"]
    shape = list(one["shape"])
    return {
        "name": one["name"],
        "data_type": f"TYPE_{datatype}",
        "dims": shape[1:] if batched else shape,
    }


def _policy(versions: Sequence[str]) -> dict[str, Any]:
    # What comes with Slipway has a digest for a number, and Triton's versions are numbers.
    if versions and all(version.isdecimal() for version in versions):
        return {"specific": {"versions": [int(version) for version in versions]}}
    return {"latest": {"num_versions": 1}}


def _instance(model: Model) -> dict[str, Any]:
    kind, _, number = model.info.device.partition(":")
    on_gpu = kind != "cpu"
    return {
        "name": f"{model.info.name}_0",
        "kind": "KIND_GPU" if on_gpu else "KIND_CPU",
        "count": 1,
        "gpus": [int(number) if number.isdigit() else 0] if on_gpu else [],
    }
