"""Predictions as the API shows them, whoever made them: at once, or as a job."""

import base64
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from services.core.errors import SlipwayError
from services.families.cutler.schema import Segmentation
from services.families.cutler.shown import json_of
from services.gateway import job_words, recorded
from services.gateway.dependencies import get_jobs, get_ledger, get_settings
from services.ledger.lookup import Found

if TYPE_CHECKING:
    from services.ledger.database.job_rows import Job


async def document(request: Request, id: str) -> dict[str, Any]:
    """Return everything about a prediction.

    Raises:
        NotFoundError: there is none of that id here.
        LedgerUnavailableError: the database does not answer.
    """
    found, job = await get_ledger(request).find_any(id)
    if job is None:
        assert found is not None
        return recorded.whole(found, get_settings(request))
    return await of_job(request, job, found)


async def of_job(request: Request, job: "Job", found: Found | None = None) -> dict[str, Any]:
    """Return everything about a prediction that is a job; `found` is its record, if it has one."""
    shown = _nothing_recorded() if found is None else recorded.whole(found, get_settings(request))
    links = shown["links"]
    if found is not None:
        kept = ("version", "stage", "cached", "confidence", "metrics")
        shown |= summary(job) | {name: shown[name] for name in kept}
    else:
        shown |= summary(job)
    shown["links"] = {**links, "self": f"/predictions/{job.id}"}
    if not job_words.ended(job):
        return shown | {"position": await _position(request, job)}
    return shown | await _outcome(request, job)


def summary(job: "Job") -> dict[str, Any]:
    """Return what a list shows of a job."""
    return {
        "id": job.id,
        "status": job_words.status_of(job),
        "model": job.subject,
        "version": job.options.get("version"),
        "stage": job.options.get("stage"),
        "mode": job.mode,
        "caller": job.caller,
        "request_id": job.request_id,
        "created_at": job_words.when(job.created),
        "started_at": job_words.when(job.started),
        "completed_at": job_words.when(job.completed),
        "error": job_words.error_of(job),
        "cached": False,
        "confidence": None,
        "metrics": {"predict_time": None, "phases": None},
        "links": {"self": f"/predictions/{job.id}"},
        "progress": job.progress,
        "cancel_requested": job.cancel,
        "urls": job_words.urls(job.id),
    }


def output_json(output: Any) -> Any:
    """Return an output as JSON values, a drawn picture included."""
    shown = json_of(output)
    if isinstance(output, Segmentation):
        image = None if output.image is None else base64.b64encode(output.image).decode()
        return {**shown, "image": image}
    return shown


def _nothing_recorded() -> dict[str, Any]:
    return {
        "links": {"mlflow_trace": None, "mlflow_run": None},
        "input": None,
        "input_digest": None,
        "input_ref": None,
        "output": None,
        "output_ref": None,
        "logs": "",
        "feedback": None,
    }


async def _position(request: Request, job: "Job") -> dict[str, Any] | None:
    if job_words.status_of(job) != job_words.STARTING:
        return None
    with suppress(SlipwayError):
        found = await get_jobs(request).position(job)
        return {"ahead": found.ahead, "seconds": found.seconds}
    return None


async def _outcome(request: Request, job: "Job") -> dict[str, Any]:
    """Return what is to be said of a job that has ended."""
    told: dict[str, Any] = {}
    # Its blob may be gone, or the disk; what the row says is still true.
    with suppress(SlipwayError):
        result = await get_jobs(request).result(job)
        if result is not None:
            told |= {
                "version": result["model"]["version"],
                "stage": result["stage"],
                "cached": bool(result.get("cached")),
                "metrics": {"predict_time": result["seconds"], "phases": result["timings"]},
                "output": output_json(result["output"]),
            }
    return told
