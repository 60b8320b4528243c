"""A request for work, checked, and as the row that it becomes."""

import hashlib
import re
import time
from dataclasses import dataclass, field
from typing import Any

from services.core.errors import InvalidInputError
from services.core.ids import new_id
from services.core.settings import Settings
from services.jobs.names import QUEUES
from services.jobs.payloads import Packed
from services.ledger.database.job_rows import NewJob
from services.ledger.encoding import json_bytes

EVENTS = ("start", "progress", "completed")
_KEY_CHARACTERS = 256
_NAME_CHARACTERS = {"task": 32, "subject": 256, "caller": 128, "request_id": 128, "mode": 16}
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class NewWork:
    """What somebody wants done.

    Attributes:
        queue: one of `names.QUEUES`.
        task: what is done, such as `names.PREDICT`.
        subject: to what: a model's or a family's name.
        options: small JSON values, for whoever does it.
        payload: what goes in; packed by the family's hooks, or as JSON.
        family: whose hooks.
        ref: the payload is this blob already.
        id: a UUID; without it the job gets a new one.
        key: under which the same request of the same caller gives the same job.
        ttl: seconds after which nobody begins it any more; None: JOB_TTL.
        mode: `async`, `sync` (somebody waits for the answer), `batch`.
        webhook: `url` and `events`, of which somebody wants to be told.
    """

    queue: str
    task: str
    subject: str
    options: dict[str, Any] = field(default_factory=dict)
    payload: Any = None
    family: str | None = None
    ref: str | None = None
    id: str | None = None
    key: str | None = None
    caller: str | None = None
    request_id: str | None = None
    ttl: float | None = None
    mode: str = "async"
    webhook: dict[str, Any] | None = None


def check(work: NewWork, settings: Settings) -> None:
    """Go on if the request can become a row as it is: nothing is cut off silently.

    Raises:
        InvalidInputError: a name or a key is too long, or a value is out of bounds.
    """
    if work.queue not in QUEUES:
        raise InvalidInputError(
            "There is no such queue.", where="queue", expected=f"one of {', '.join(QUEUES)}"
        )
    if work.id is not None and not _UUID.fullmatch(work.id):
        raise InvalidInputError("The id is no UUID.", where="id", expected="a UUID")
    _check_text(work.key, "Idempotency-Key", _KEY_CHARACTERS)
    for name, length in _NAME_CHARACTERS.items():
        _check_text(getattr(work, name), name, length)
    longest = settings.job_ttl
    if work.ttl is not None and not 0 < work.ttl <= longest:
        raise InvalidInputError(
            "The time to live is out of bounds.",
            where="ttl",
            expected=f"seconds, more than 0 and at most {longest:g} (JOB_TTL)",
        )


def new_job(work: NewWork, packed: Packed, settings: Settings) -> NewJob:
    """Return the row that a request becomes."""
    now = time.time()
    ttl = settings.job_ttl if work.ttl is None else work.ttl
    return NewJob(
        id=new_id() if work.id is None else work.id.lower(),
        queue=work.queue,
        task=work.task,
        subject=work.subject,
        fingerprint=fingerprint(work, packed),
        options=work.options | packed.options,
        created=round(now * 1e6),
        payload=packed.ref,
        key=None if work.key is None else f"{work.caller or ''}\n{work.key}",
        caller=work.caller,
        request_id=work.request_id,
        expires=round((now + ttl) * 1e6),
        mode=work.mode,
        webhook=work.webhook,
    )


def fingerprint(work: NewWork, packed: Packed) -> str:
    """Return the SHA-256 of what is asked for, the same for the same request."""
    asked = [work.queue, work.task, work.subject, work.options, work.ttl, work.webhook, work.mode]
    made = hashlib.sha256(json_bytes(asked))
    made.update(b"\0" + packed.fingerprint_bytes)
    return made.hexdigest()


def _check_text(text: str | None, where: str, most: int) -> None:
    if text is None:
        return
    if not text or len(text) > most or not text.isprintable():
        raise InvalidInputError(
            "A name or a key cannot be used as it is.",
            where=where,
            expected=f"1 to {most} printable characters",
            received=f"{len(text)} characters",
        )
