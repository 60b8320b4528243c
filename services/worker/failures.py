"""What a job's row says of a failure: no data of the caller, no path, no traceback."""

from typing import Any

from services.core.errors import DeadlineExceededError, SlipwayError
from services.core.logging import get_logger

_log = get_logger(__name__)


def failure(error: BaseException, job_id: str) -> dict[str, Any]:
    """Return the words for an error; one that is not ours is logged with its traceback."""
    if isinstance(error, SlipwayError):
        return {
            "code": error.code,
            "message": error.message,
            "where": error.where,
            "expected": error.expected,
            "received": error.received,
            "retry_after": error.retry_after,
        }
    _log.error("job failed", job_id=job_id, exc_info=error)
    return {"code": SlipwayError.code, "message": "The job failed.", "where": None}


def too_long(limit: float) -> dict[str, Any]:
    """Return the words for a job that had not ended when its time was over."""
    return {
        "code": DeadlineExceededError.code,
        "message": f"The job had not ended after {limit:g} seconds.",
        "where": None,
        "expected": "a smaller input, or a longer JOB_TIMEOUT (TRAINING_TIMEOUT)",
    }
