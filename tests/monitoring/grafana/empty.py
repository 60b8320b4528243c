"""What may be empty after a short run in which all went well, and why."""

_NO_GPU = "There is no GPU on the machines that run the tests."
_WELL = "Nothing is so wrong in a minute that an alert fires."
_ROOM = "The models fit into MEMORY_BUDGET: none is put out."
_LOADS = "Every version can be loaded."

# By board, panel (or `annotations`) and query.
EMPTY: dict[tuple[str, str, str], str] = {
    ("slipway-records", "GPU", "A"): _NO_GPU,
    ("slipway-records", "GPU", "B"): _NO_GPU,
    ("slipway-models", "Swaps and evictions", "B"): _ROOM,
    ("slipway-service", "What fires now", "A"): _WELL,
    **{
        (f"slipway-{board}", "annotations", "Alerts"): _WELL
        for board in ("service", "models", "jobs", "drift-quality", "records")
    },
}

# Metrics that the boards ask for and that had no series then: `or vector(0)` would hide it.
UNSEEN: dict[str, str] = {
    "gpu_utilization_ratio": _NO_GPU,
    "gpu_memory_used_bytes": _NO_GPU,
    "gpu_memory_total_bytes": _NO_GPU,
    "model_evictions_total": _ROOM,
    "model_load_failing": _LOADS,
    "ALERTS": _WELL,
    "ALERTS_FOR_STATE": _WELL,
}
