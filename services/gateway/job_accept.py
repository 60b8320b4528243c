"""Taking in a prediction that is made later: checked, durable, and answered with 202."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from services.core.errors import (
    DeadlineExceededError,
    InvalidInputError,
    RegistryUnavailableError,
)
from services.core.origin import CALLER, REQUEST_ID
from services.engine.messages import PredictRequest
from services.families.cutler.schema import SegmentationInput
from services.gateway import job_words
from services.gateway.dependencies import get_engine, get_families, get_jobs, get_settings
from services.gateway.job_requests import idempotency_key
from services.gateway.served import family_of

if TYPE_CHECKING:
    from services.ledger.database.job_rows import Job

_ACCEPTED, _OK = 202, 200
_EVENTS = ("start", "progress", "completed")
ASYNC = "async"


async def accept(
    request: Request,
    asked: PredictRequest,
    *,
    id: str | None = None,
    ttl: float | None = None,
    webhook: dict[str, Any] | None = None,
) -> tuple["Job", bool]:
    """Accept a prediction; return its job, durable, and whether it is new.

    Raises:
        NotFoundError: there is no such model or version.
        ModelUnavailableError: no version is in production, or no jobs are done here.
        ConflictError: its key, or its id, stands for another request.
        OverloadedError, LedgerUnavailableError, LedgerFullError: there is no room for it now.
    """
    from services.jobs.names import INTERACTIVE, PREDICT
    from services.jobs.submission import NewWork

    key, engine = idempotency_key(request), get_engine(request)
    # Without MLflow it is not certain that there is no such version: the worker waits for it.
    with suppress(RegistryUnavailableError, DeadlineExceededError):
        await engine.elsewhere.find(asked)
    family = family_of(engine, get_families(request), asked.model)
    options: dict[str, Any] = {
        "version": asked.version,
        "stage": None if asked.stage is None else asked.stage.value,
    }
    if isinstance(asked.payload, SegmentationInput) and asked.payload.threshold is not None:
        options["threshold"] = asked.payload.threshold
    return await get_jobs(request).submit(
        NewWork(
            INTERACTIVE,
            PREDICT,
            asked.model,
            options,
            payload=asked.payload,
            family=None if family is None else family.name,
            id=id,
            key=key,
            caller=CALLER.get(),
            request_id=REQUEST_ID.get(),
            ttl=ttl,
            mode=ASYNC,
            webhook=webhook,
        )
    )


async def respond_async(request: Request, asked: PredictRequest) -> Response:
    """Answer a predict route whose caller does not want to wait."""
    job, new = await accept(request, asked)
    return reply(job, new, {"Preference-Applied": "respond-async"})


def reply(
    job: "Job",
    new: bool,
    headers: dict[str, str] | None = None,
    *,
    body: dict[str, Any] | None = None,
) -> Response:
    """Answer with an accepted job: 202, or 200 for one that has ended since it was accepted."""
    told = {
        "Location": f"/predictions/{job.id}",
        "X-Prediction-ID": job.id,
        **({} if new else {"Idempotent-Replayed": "true"}),
        **(headers or {}),
    }
    status = _OK if not new and job_words.ended(job) else _ACCEPTED
    content = orjson.dumps(job_words.accepted(job) if body is None else body)
    return Response(content, status, told, media_type="application/json")


def lifetime(request: Request, ttl: float | None) -> float | None:
    """Return how long a job may wait.

    Raises:
        InvalidInputError: longer than JOB_TTL.
    """
    most = get_settings(request).job_ttl
    if ttl is not None and ttl > most:
        raise InvalidInputError(
            "ttl is too long.",
            where="ttl",
            expected=f"at most {most:g} seconds (JOB_TTL)",
            received=f"{ttl:g} seconds",
        )
    return ttl


async def webhook_of(
    request: Request, address: str | None, events: list[Any] | None
) -> dict[str, Any] | None:
    """Return whom to tell of what.

    Raises:
        InvalidInputError: the address is none that is told anything.
    """
    if address is None:
        if events is not None:
            raise InvalidInputError(
                "webhook_events_filter is given without a webhook.",
                where="webhook_events_filter",
                expected="webhook beside it",
            )
        return None
    settings = get_settings(request)
    if settings.webhook_secret is None:
        raise InvalidInputError(
            "No webhooks are sent here, for they could not be signed.",
            where="webhook",
            expected="no webhook, or WEBHOOK_SECRET set here",
        )

    def check() -> None:
        # Here, in the thread: the import would hold up the loop.
        from services.jobs.webhooks import check_address

        check_address(address, allow_private=settings.webhook_allow_private)

    await asyncio.to_thread(check)
    return {"url": address, "events": [one for one in _EVENTS if events is None or one in events]}
