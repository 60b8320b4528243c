"""Jobs of every kind, as `GET /jobs` shows them."""

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from services.core.errors import SlipwayError
from services.gateway import job_words
from services.gateway.dependencies import get_jobs
from services.jobs.names import PREDICT, PREDICT_BATCH
from services.ledger.database.job_rows import DEAD

if TYPE_CHECKING:
    from services.ledger.database.job_rows import Job

_COUNTS = ("items", "done", "succeeded", "failed")
# Names of blobs, and what the worker notes for itself.
_PRIVATE = frozenset({"ref", "next", "suspect", "deaths"})


def accepted(job: "Job") -> dict[str, Any]:
    """Return what is answered to a batch at once."""
    return {
        "id": job.id,
        "job_id": job.id,
        "status": job_words.status_of(job),
        "model": job.subject,
        "version": job.options.get("version"),
        "items": job.options.get("items"),
        "created_at": job_words.when(job.created),
        "urls": urls(job),
    }


def summary(job: "Job") -> dict[str, Any]:
    """Return what a list shows of a job."""
    return {
        "id": job.id,
        "job_id": job.id,
        "status": job_words.status_of(job),
        "task": job.task,
        "queue": job.queue,
        "model": job.subject,
        "version": job.options.get("version"),
        "stage": job.options.get("stage"),
        "mode": job.mode,
        "caller": job.caller,
        "request_id": job.request_id,
        "created_at": job_words.when(job.created),
        "started_at": job_words.when(job.started),
        "completed_at": job_words.when(job.completed),
        "expires_at": job_words.when(job.expires),
        "attempts": job.attempts,
        "cancel_requested": job.cancel,
        **_far(job),
        "error": job_words.error_of(job),
        "urls": urls(job),
    }


async def document(request: Request, job: "Job") -> dict[str, Any]:
    """Return everything about a job."""
    return summary(job) | {
        "position": await _position(request, job),
        "details": _public(job.progress),
        "result": None if job.task == PREDICT else _public(job.result),
    }


def states_of(status: str) -> list[int]:
    """Return the states that a status stands for."""
    # The last state, of jobs that were given up, shows as failed too.
    return [job_words.state_of(status), *([DEAD] if status == job_words.FAILED else [])]


def urls(job: "Job") -> dict[str, str | None]:
    """Return where more is to be had."""
    own = f"/jobs/{job.id}"
    return {
        "get": own,
        "cancel": f"{own}/cancel",
        "retry": f"{own}/retry",
        "stream": own,
        "results": f"{own}/results" if job.task == PREDICT_BATCH else None,
    }


def _far(job: "Job") -> dict[str, Any]:
    """Return how far a job is."""
    told: Mapping[str, Any] = job.progress if isinstance(job.progress, Mapping) else {}
    if job.task != PREDICT_BATCH:
        part = told.get("progress")
        known = isinstance(part, int | float) and not isinstance(part, bool) and 0 <= part <= 1
        return {"counts": None, "progress": part if known else None} | dict.fromkeys(
            ("rate", "seconds_left")
        )
    counts = dict.fromkeys(_COUNTS, 0) | {"items": job.options.get("items", 0)}
    counts |= {name: told[name] for name in _COUNTS if name in told}
    rate = None if job_words.ended(job) else told.get("rate")
    left = counts["items"] - counts["done"]
    return {
        "counts": counts,
        "progress": counts["done"] / max(1, counts["items"]),
        "rate": rate,
        "seconds_left": round(left / rate, 3) if rate else None,
    }


async def _position(request: Request, job: "Job") -> dict[str, Any] | None:
    if job_words.status_of(job) != job_words.STARTING:
        return None
    with suppress(SlipwayError):
        found = await get_jobs(request).position(job)
        return {"ahead": found.ahead, "seconds": found.seconds}
    return None


def _public(value: Any) -> dict[str, Any] | None:
    if not isinstance(value, Mapping):
        return None
    return {name: item for name, item in value.items() if name not in _PRIVATE}
