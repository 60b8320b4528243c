"""What the shipper says of itself: `status.json`, written anew every second."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from services.ledger.shipping.lane import Lane

# Always all there: who reads it need not ask what is missing.
_NOTHING: dict[str, Any] = {
    "mlflow": "none",
    "pending": 0,
    "pending_bytes": 0,
    "oldest_seconds": 0.0,
    "unindexed_bytes": 0,
    "job_records": 0,
    "job_records_seconds": 0.0,
    "traces_sent": 0,
    "traces_thinned": 0,
    "traces_refused": 0,
    "trace_share": 1.0,
    "trace_backlog": 0,
    "rows_stored": 0,
    "parts_stored": 0,
    "feedback_pending": 0,
    "feedback_attached": 0,
    "dead_letters": 0,
    "damaged_bytes": 0,
}


_FIRST = ("indexing", "finishing")


def compose(lanes: Sequence[Lane]) -> dict[str, Any]:
    """Return the status, from what the stages said last."""
    found = {**_NOTHING, "pid": os.getpid(), "time": time.time()}
    for lane in lanes:
        found |= lane.numbers
    # Those of jobs are pending before they are in a journal.
    found["pending"] += found["job_records"]
    found["oldest_seconds"] = max(found["oldest_seconds"], found["job_records_seconds"])
    # Until these have looked, the zeros above mean nothing.
    looked = {lane.name for lane in lanes if lane.numbers}
    found["ready"] = looked.issuperset(_FIRST)
    failures = {lane.name: lane.failure for lane in lanes}
    if found["mlflow"] == "up" and any(f.mlflow_away for f in failures.values() if f):
        # It takes connections, and that is all.
        found["mlflow"] = "down"
    found["last_error"] = {
        name: {"message": failure.message, "since": failure.since}
        for name, failure in failures.items()
        if failure is not None
    }
    return found


def reachable(lanes: Sequence[Lane]) -> bool:
    """Return whether something took connections at MLflow's address when last tried."""
    return any(lane.numbers.get("mlflow") == "up" for lane in lanes)


def write(path: Path, status: dict[str, Any]) -> None:
    """Replace the file; a reader sees the old or the new, whole.

    Raises:
        OSError: it could not be written.
    """
    draft = path.with_suffix(".new")
    draft.write_bytes(orjson.dumps(status, default=str))
    draft.replace(path)
