"""Trainings and sweeps in the API's words."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from services.gateway import job_words
from services.ledger.database.job_rows import (
    CANCELED,
    DEAD,
    EXPIRED,
    JOB_FAILED,
    QUEUED,
    SUCCEEDED,
)
from services.ledger.database.job_rows import RUNNING as RUNNING_JOB

if TYPE_CHECKING:
    from services.ledger.database.job_rows import Job

# `job_000042`: the number under which the database has it.
PREFIX = "job_"
RUNNING = "running"
_STATUS = {
    job_words.STARTING: RUNNING,
    job_words.PROCESSING: RUNNING,
    job_words.SUCCEEDED: "completed",
}
# What the database calls the states of the API.
STATES = {
    job_words.STARTING: (QUEUED,),
    job_words.PROCESSING: (RUNNING_JOB,),
    job_words.SUCCEEDED: (SUCCEEDED,),
    job_words.FAILED: (JOB_FAILED, DEAD),
    job_words.CANCELED: (CANCELED,),
    job_words.EXPIRED: (EXPIRED,),
}
_ERROR = ("code", "message", "where", "expected")


def job_id(job: "Job") -> str:
    """Return the short name of a job."""
    return f"{PREFIX}{job.number:06d}"


def status(job: "Job") -> str:
    """Return `running` until a job has ended, then how."""
    word = job_words.status_of(job)
    return _STATUS.get(word, word)


def urls(job: "Job") -> dict[str, str]:
    """Return where a training is asked about, ended and watched."""
    name = job_id(job)
    own = f"/train/status/{name}"
    return {"get": own, "cancel": f"/train/{name}/cancel", "stream": own, "job": f"/jobs/{job.id}"}


def accepted(job: "Job", message: str) -> dict[str, Any]:
    """Return what is answered at once."""
    return {
        "message": message,
        "job_id": job_id(job),
        "experiment_name": job.options["experiment"],
        "status": status(job),
        "id": job.id,
        "family": job.subject,
        "created_at": job_words.when(job.created),
        "urls": urls(job),
    }


def summary(job: "Job") -> dict[str, Any]:
    """Return what a list shows."""
    result: Mapping[str, Any] = job.result or {}
    progress: Mapping[str, Any] = job.progress or {}
    error = job_words.error_of(job)
    return {
        "job_id": job_id(job),
        "id": job.id,
        "task": job.task,
        "family": job.subject,
        "model_name": result.get("name"),
        "version": result.get("version"),
        "experiment_name": job.options["experiment"],
        "status": status(job),
        "state": job_words.status_of(job),
        "cancel_requested": job.cancel,
        "progress": _progress(job, progress),
        "metrics": result.get("metrics") or progress.get("metrics") or {},
        "run_id": result.get("run_id") or progress.get("run_id"),
        "run_url": result.get("link") or progress.get("run_url"),
        "error": None if error is None else {name: error[name] for name in _ERROR},
        "created_at": job_words.when(job.created),
        "started_at": job_words.when(job.started),
        "completed_at": job_words.when(job.completed),
        "urls": urls(job),
    }


def whole(job: "Job", result: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return everything but its place in the queue; `result` with its output unpacked."""
    output = (result or {}).get("output") or {}
    history = output.get("history") or (job.progress or {}).get("history") or []
    return {
        **summary(job),
        "params": job.options["params"],
        "seed": job.options["seed"],
        "attempts": job.attempts,
        "history": history,
        "result": None if result is None else _result(result, output),
        "position": None,
    }


def _result(result: Mapping[str, Any], output: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in result.items() if name != "output"}
    return {**shown, "trials": output["trials"]} if "trials" in output else shown


def _progress(job: "Job", progress: Mapping[str, Any]) -> dict[str, Any] | None:
    if not progress:
        return None
    shown = {name: progress.get(name) for name in ("phase", "epoch", "total", "fraction")}
    if job_words.status_of(job) == job_words.SUCCEEDED:
        # The last word of a worker is that it has ended.
        shown |= {"phase": "completed", "fraction": 1.0, "epoch": progress.get("total") or 0}
    return {**shown, "attempt": progress.get("attempt", 1)}
