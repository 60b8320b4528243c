"""Jobs in the API's words."""

from typing import TYPE_CHECKING, Any

from services.gateway.recorded import moment

if TYPE_CHECKING:
    from services.ledger.database.job_rows import Job

STARTING, PROCESSING, SUCCEEDED = "starting", "processing", "succeeded"
FAILED, CANCELED, EXPIRED = "failed", "canceled", "expired"
# By `state` of the database's table, from QUEUED to DEAD.
_STATUS = (STARTING, PROCESSING, SUCCEEDED, FAILED, CANCELED, EXPIRED, FAILED)
# States below it are those of jobs about which something is still to be done.
_ENDED = _STATUS.index(SUCCEEDED)
_ERROR = ("code", "message", "where", "expected", "phase")
_SAID = {
    CANCELED: {"code": CANCELED, "message": "It was canceled."},
    EXPIRED: {"code": EXPIRED, "message": "Nobody had begun it when its time was over."},
    FAILED: {"code": "internal_error", "message": "It failed."},
}


def status_of(job: "Job") -> str:
    """Return the job's status."""
    return _STATUS[job.state]


def state_of(status: str) -> int:
    """Return the state that a status stands for; of two, that of jobs which ended by themselves."""
    return _STATUS.index(status)


def ended(job: "Job") -> bool:
    """Whether nothing about the job changes any more, unless somebody asks for it again."""
    return job.state >= _ENDED


def error_of(job: "Job") -> dict[str, Any] | None:
    """Return why a job ended without a result; None for one that did not, or is still open."""
    status = status_of(job)
    if status not in _SAID:
        return None
    said: dict[str, Any] = {**_SAID[status], **(job.error or {})}
    return {name: said.get(name) for name in _ERROR}


def urls(id: str) -> dict[str, str]:
    """Return where a prediction is asked about, ended, and watched."""
    own = f"/predictions/{id}"
    return {"get": own, "cancel": f"{own}/cancel", "stream": own}


def when(microseconds: int | None) -> str | None:
    """Return a time of the database as the API writes it."""
    return None if microseconds is None else moment(microseconds / 1e6)


def accepted(job: "Job") -> dict[str, Any]:
    """Return what is answered at once."""
    return {
        "id": job.id,
        "status": status_of(job),
        "model": job.subject,
        "version": job.options.get("version"),
        "created_at": when(job.created),
        "urls": urls(job.id),
    }
