"""What a job is: its states and its row. Without the database's library, so that doors start fast.

Times are microseconds since 1970 (UTC), by the clock of whoever writes.
"""

from dataclasses import dataclass
from typing import Any

# `state` of a job. Those below SUCCEEDED are open: something is still to be done.
QUEUED, RUNNING, SUCCEEDED, JOB_FAILED, CANCELED, EXPIRED, DEAD = range(7)
STATE_NAMES = ("queued", "running", "succeeded", "failed", "canceled", "expired", "dead")

# Conditions of indices; queries name them, or the indices would not be used.
OPEN_JOB = f"state < {SUCCEEDED}"
ENDED_JOB = f"state >= {SUCCEEDED}"
DEAD_JOB = f"state = {DEAD}"
UNPUBLISHED_JOB = f"state = {QUEUED} AND published IS NULL"

# The task of one prediction: its record stands under the id of its job.
PREDICT = "predict"

# A job whose worker was lost this often is not begun again.
MOST_ATTEMPTS = 3
LONGEST_KEY = 512


@dataclass(frozen=True, slots=True)
class NewJob:
    """What somebody wants done.

    Attributes:
        id: a UUID.
        key: under which the same request gives the same job; with whoever asks in front.
        fingerprint: SHA-256 (hex) of what is asked for.
        options: small JSON values; what is large is named by `payload`, a blob.
        expires: from when on nobody begins it any more.
        mode: how it was asked for.
        webhook: `url` and `events`, of which somebody wants to be told.
    """

    id: str
    queue: str
    task: str
    subject: str
    fingerprint: str
    options: dict[str, Any]
    created: int
    payload: str | None = None
    key: str | None = None
    caller: str | None = None
    request_id: str | None = None
    expires: int | None = None
    mode: str = "async"
    webhook: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A job, with the columns of the table."""

    number: int
    id: str
    queue: str
    task: str
    subject: str
    caller: str | None
    request_id: str | None
    key: str | None
    fingerprint: str
    options: dict[str, Any]
    payload: str | None
    created: int
    expires: int | None
    mode: str
    webhook: dict[str, Any] | None
    state: int
    published: int | None
    attempts: int
    token: int
    worker: str | None
    leased_until: int | None
    cancel: bool
    started: int | None
    completed: int | None
    progress: Any
    result: Any
    result_ref: str | None
    error: dict[str, Any] | None

    @property
    def ended(self) -> bool:
        """Whether nothing is to be done any more."""
        return self.state >= SUCCEEDED
