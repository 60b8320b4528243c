"""What the routes of trainings share: taking one in, finding it, showing it."""

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from services.core.errors import InvalidInputError, NotFoundError, SlipwayError
from services.core.origin import CALLER, REQUEST_ID
from services.gateway import job_words, training_words
from services.gateway.dependencies import get_jobs
from services.gateway.job_accept import lifetime, webhook_of
from services.gateway.job_requests import idempotency_key
from services.jobs.names import SWEEP, TRAIN, TRAINING
from services.training.order import Order

if TYPE_CHECKING:
    from services.gateway.schemas_training import SweepRequest, TrainRequest
    from services.ledger.database.job_rows import Job

_NUMBER = re.compile(r"(?:job_)?([0-9]{1,18})")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TASKS = (TRAIN, SWEEP)


async def submit(
    request: Request, task: str, order: Order, asked: "TrainRequest | SweepRequest"
) -> "tuple[Job, bool]":
    """Accept a training; return its job, durable, and whether it is new.

    Raises:
        InvalidInputError: of what all jobs may be told, something is not accepted.
        ConflictError: its key stands for another request.
        OverloadedError, LedgerUnavailableError: there is no room for it now.
    """
    from services.jobs.submission import NewWork

    return await get_jobs(request).submit(
        NewWork(
            TRAINING,
            task,
            order.family,
            order.as_json(),
            key=idempotency_key(request),
            caller=CALLER.get(),
            request_id=REQUEST_ID.get(),
            ttl=lifetime(request, asked.ttl),
            webhook=await webhook_of(request, asked.webhook, asked.webhook_events_filter),
        )
    )


def accepted(job: "Job", new: bool, message: str) -> Response:
    """Answer 202, or 200 with a job that has ended since it was first asked for."""
    status = 200 if not new and job_words.ended(job) else 202
    replayed = {} if new else {"Idempotent-Replayed": "true"}
    return answer(status, training_words.accepted(job, message), job, replayed)


def answer(
    status: int, body: dict[str, Any], job: "Job", headers: dict[str, str] | None = None
) -> Response:
    """Answer with something about a job."""
    told = {"Location": training_words.urls(job)["get"], **(headers or {})}
    return Response(orjson.dumps(body), status, told, media_type="application/json")


async def find(request: Request, name: str) -> "Job":
    """Return a training by its short name or its UUID.

    Raises:
        InvalidInputError: it is neither.
        NotFoundError: there is none, or it is another kind of job.
    """
    desk = get_jobs(request)
    if _UUID.fullmatch(name):
        job = await desk.get(name.lower())
    else:
        job = await desk.by_number(number(name, "job_id"))
    if job.task not in _TASKS:
        raise NotFoundError(
            "There is no such training here (any more).",
            where="job_id",
            expected="one that GET /train/jobs lists",
        )
    return job


def number(name: str, where: str) -> int:
    """Return the number in a short name.

    Raises:
        InvalidInputError: there is none.
    """
    found = _NUMBER.fullmatch(name)
    if found is None:
        raise InvalidInputError(
            "This is not the name of a job.", where=where, expected="job_000042, or a UUID"
        )
    return int(found[1])


async def document(request: Request, job: "Job") -> dict[str, Any]:
    """Return everything about a training."""
    result = await get_jobs(request).result(job) if job.result is not None else None
    shown = training_words.whole(job, result)
    if job_words.status_of(job) == job_words.STARTING:
        with suppress(SlipwayError):
            ahead = await get_jobs(request).position(job)
            shown["position"] = {"ahead": ahead.ahead, "seconds": ahead.seconds}
    return shown
