"""A job as people see it: the JSON of routes, events and webhooks."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from services.jobs.names import PREDICT
from services.jobs.payloads import inline_json
from services.ledger.database.job_rows import DEAD, STATE_NAMES, SUCCEEDED, Job

# By state: QUEUED, RUNNING, SUCCEEDED, JOB_FAILED, CANCELED, EXPIRED, DEAD.
STATUSES = ("starting", "processing", "succeeded", "failed", "canceled", "expired", "failed")
_MICROSECONDS = 1e6
assert len(STATUSES) == len(STATE_NAMES)


def status(job: Job) -> str:
    """Return what a job's state is called: starting, processing, succeeded, failed, ..."""
    return STATUSES[job.state]


def job_view(job: Job) -> dict[str, Any]:
    """Return a job as JSON values, in the shape of Cog and Replicate.

    An output that lies among the blobs is not in it: `urls.get` leads to it.
    """
    made = job.result if isinstance(job.result, Mapping) else {}
    return {
        "id": job.id,
        "status": status(job),
        "task": job.task,
        "queue": job.queue,
        "model": job.subject,
        "version": _version(job, made),
        "stage": made.get("stage") or job.options.get("stage"),
        "mode": job.mode,
        "caller": job.caller,
        "request_id": job.request_id,
        "created_at": moment(job.created),
        "started_at": moment(job.started),
        "completed_at": moment(job.completed),
        "output": output(job),
        "error": job.error,
        "logs": "",
        "progress": job.progress,
        "attempts": job.attempts,
        "metrics": {"predict_time": predict_time(job)},
        "urls": urls(job),
    }


def output(job: Job) -> Any:
    """Return what a job made, if it stands in its row as JSON."""
    if isinstance(job.result, Mapping) and "output" in job.result:
        return inline_json(job.result["output"])
    return job.result if job.state == SUCCEEDED else None


def predict_time(job: Job) -> float | None:
    """Return the seconds from its beginning to its end; None: it has not ended, or not begun."""
    if job.completed is None or job.started is None or job.state == DEAD:
        return None
    return max(0, job.completed - job.started) / _MICROSECONDS


def urls(job: Job) -> dict[str, str]:
    """Return where there is more."""
    path = f"/predictions/{job.id}" if job.task == PREDICT else f"/jobs/{job.id}"
    return {"get": path, "cancel": f"{path}/cancel", "stream": path}


def moment(microseconds: int | None) -> str | None:
    """Return a time as ISO 8601 in UTC, to the microsecond."""
    if microseconds is None:
        return None
    seconds, rest = divmod(microseconds, 1_000_000)
    known = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
    return known.isoformat(timespec="microseconds")


def _version(job: Job, made: Mapping[str, Any]) -> str | None:
    model = made.get("model")
    if isinstance(model, Mapping) and model.get("version") is not None:
        return str(model["version"])
    version = job.options.get("version")
    return None if version is None else str(version)
