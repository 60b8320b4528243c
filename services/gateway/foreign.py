"""What the doors for other servers' clients share: which model, its signature, and the answer."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response

from services.core.errors import InvalidInputError, PredictionFailedError
from services.core.logging import get_logger
from services.core.signature import Signature
from services.engine.messages import PredictRequest
from services.gateway.dependencies import get_engine, get_families
from services.gateway.disconnect import unless_gone
from services.gateway.reply import Reply
from services.gateway.rows import PICTURE, Rows, ask
from services.gateway.tables.given import Given
from services.registry.stages import parse_stage

T = TypeVar("T")

_log = get_logger(__name__)
# Beyond it (bytes) reading takes milliseconds, which other requests should not wait for.
_SMALL = 64 * 1024


def asked_for(name: str, version: str | None = None, stage: str | None = None) -> PredictRequest:
    """Return a request for a model, still without rows.

    Raises:
        InvalidInputError: it names a version and a stage, or a stage that does not exist.
    """
    if version is not None and stage is not None:
        raise InvalidInputError(
            "Both a version and a stage are named.",
            where="version",
            expected="version or stage, or neither for the one in production",
            received="both",
        )
    wanted = None if stage is None else parse_stage(stage)
    return PredictRequest(name, None, version=version, stage=wanted)


async def signature_of(request: Request, asked: PredictRequest) -> Signature | None:
    """Return what the version takes, which brings it into memory; None if it takes pictures.

    Raises:
        SlipwayError: as `Engine.predict`, the payload aside.
    """
    model = await unless_gone(request, get_engine(request).opened(asked))
    family = get_families(request).get(model.info.family)
    return None if family is not None and family.takes == PICTURE else model.signature


async def ask_given(
    request: Request, asked: PredictRequest, given: Given, params: Any = None
) -> Rows:
    """Predict what a caller sent.

    Raises:
        SlipwayError: as `rows.ask`, with the caller's own words for where.
    """
    payload = {"inputs": given.inputs} | ({} if params is None else {"params": params})
    try:
        return await ask(request, replace(asked, payload=payload))
    except InvalidInputError as error:
        raise given.told(error) from error


async def done(work: Callable[[], T], size: int) -> T:
    """Do work on `size` bytes: here if they are few, else in a thread."""
    return work() if size <= _SMALL else await asyncio.to_thread(work)


def reply(rows: Rows, body: Mapping[str, Any]) -> Response:
    """Answer with a body in the protocol's own form.

    Raises:
        PredictionFailedError: the model's answer is not JSON.
    """
    try:
        encoded = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:
        _log.error("answer is not JSON", model=rows.model, version=rows.version)
        raise PredictionFailedError("The model's answer is not JSON.") from error
    return Reply(encoded, rows.id)
