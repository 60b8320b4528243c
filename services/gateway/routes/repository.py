"""Triton's repository, statistics and configuration: `/v2/repository`, `…/stats`, `…/config`.

What is loaded or unloaded here is so in this process alone, and until it ends.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from services.core.errors import NotFoundError
from services.engine.messages import PredictRequest
from services.engine.status import ModelStatus, State
from services.gateway.dependencies import get_engine, get_metrics, get_settings
from services.gateway.disconnect import unless_gone
from services.gateway.oip.metadata import metadata_of
from services.gateway.openapi import foreign_responses
from services.gateway.parameters import Name
from services.gateway.repository.asked import check_load, check_unload, only_ready
from services.gateway.repository.config import config
from services.gateway.repository.schemas import (
    Index,
    IndexRow,
    Loaded,
    ModelConfig,
    PutOut,
    Statistics,
)
from services.gateway.repository.statistics import read, statistics
from services.gateway.schemas_foreign import TextError
from services.gateway.served import status_of

router = APIRouter(prefix="/v2", tags=["repository (Triton)"])

_BODY = (400, 408, 413, 415, 422)
_LOADS = {State.LOADING, State.WARMING, State.STARTING}
_WORDS = {State.READY: "READY", State.UNLOADING: "UNLOADING"} | dict.fromkeys(_LOADS, "LOADING")

VersionPath = Annotated[
    str, Path(pattern=r"^[A-Za-z0-9._-]{1,64}$", description="Number of the version.")
]
VersionQuery = Annotated[
    str | None,
    Query(
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="One version only; without it, the model as a whole.",
    ),
]


def _optional(schema: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    content = {"schema": {"type": "object", "properties": schema}, "example": example}
    return {"requestBody": {"required": False, "content": {"application/json": content}}}


def _parameters(properties: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return _optional({"parameters": schema}, {"parameters": example})


@router.post(
    "/repository/index",
    responses=foreign_responses(None, TextError, *_BODY),
    openapi_extra=_optional({"ready": {"type": "boolean"}}, {"ready": True}),
    summary="Every version, and its state",
)
async def repository_index(request: Request) -> Index:
    """One row for each version that is in memory, should be, or could not be brought there.

    The body may be empty; `{"ready": true}` leaves out what does not answer now. A version that is
    UNAVAILABLE because it was put out of memory to make room comes back at the next request.
    """
    ready = await only_ready(request)
    rows = [
        IndexRow(
            name=entry.name,
            version=entry.version,
            state=_WORDS.get(entry.state, "UNAVAILABLE"),
            reason=entry.reason,
        )
        for entry in get_engine(request).index()
        if entry.state is State.READY or not ready
    ]
    return Index(rows)


@router.post(
    "/repository/models/{name}/load",
    responses=foreign_responses(None, TextError, *_BODY, 404, 503, 504),
    openapi_extra=_parameters({}, {}),
    summary="Bring a model into memory",
)
async def repository_load(request: Request, name: Name, version: VersionQuery = None) -> Loaded:
    """Answers once the version in production (or the one named) is in memory.

    What failed before is tried again now; 503 with the reason if it fails again. A caller who
    hangs up does not stop the load. Configurations and files of the caller's own are refused.
    """
    await check_load(request)
    await unless_gone(request, get_engine(request).load(name, version))
    return Loaded(name=name)


@router.post(
    "/repository/models/{name}/unload",
    responses=foreign_responses(None, TextError, *_BODY, 404, 503, 504),
    openapi_extra=_parameters(
        {"unload_dependents": {"type": "boolean"}}, {"unload_dependents": False}
    ),
    summary="Take a model out of memory, and leave it out",
)
async def repository_unload(request: Request, name: Name, version: VersionQuery = None) -> PutOut:
    """Answers once nobody new is let in; memory is given back after the last request in it.

    From then on a request for it is a 503 that says so, until it is loaded, or another version is
    promoted to production. The same version does not come back by itself while it holds
    production. This is so in this process only, and until it ends.
    """
    await check_unload(request)
    await unless_gone(request, get_engine(request).unload(name, version))
    return PutOut(name=name)


@router.get("/models/stats", summary="Statistics of every model")
async def every_statistics(request: Request) -> Statistics:
    """Of each version that is in memory, or was asked since this process began."""
    return _statistics(request, get_engine(request).statuses())


@router.get(
    "/models/{name}/stats",
    responses=foreign_responses(None, TextError, 404, 422),
    summary="Statistics of one model",
)
async def model_statistics(request: Request, name: Name) -> Statistics:
    """Of each version that is in memory, or was asked since this process began."""
    return _statistics(request, [_status(request, name)])


@router.get(
    "/models/{name}/versions/{version}/stats",
    responses=foreign_responses(None, TextError, 404, 422),
    summary="Statistics of one version",
)
async def version_statistics(request: Request, name: Name, version: VersionPath) -> Statistics:
    """Of a version that is in memory, or was asked since this process began."""
    found = _statistics(request, [_status(request, name)])
    found.model_stats = [one for one in found.model_stats if one.version == version]
    if not found.model_stats:
        raise NotFoundError(
            "This version is not in memory and was not asked here.",
            where="version",
            expected="a version of POST /v2/repository/index",
        )
    return found


@router.get(
    "/models/{name}/config",
    responses=foreign_responses(None, TextError, 404, 422, 429, 503, 504),
    response_model_exclude_none=True,
    summary="Configuration of a model",
)
async def model_configuration(request: Request, name: Name) -> ModelConfig:
    """Triton's, as far as it is true here; of the version in production."""
    return await _config(request, PredictRequest(name, None))


@router.get(
    "/models/{name}/versions/{version}/config",
    responses=foreign_responses(None, TextError, 404, 422, 429, 503, 504),
    response_model_exclude_none=True,
    summary="Configuration of a version",
)
async def version_configuration(request: Request, name: Name, version: VersionPath) -> ModelConfig:
    """Triton's, as far as it is true here. The version is brought into memory for it."""
    return await _config(request, PredictRequest(name, None, version=version))


async def _config(request: Request, asked: PredictRequest) -> ModelConfig:
    described = await metadata_of(request, asked)
    model = await unless_gone(request, get_engine(request).opened(asked))
    return ModelConfig.model_validate(config(described, model, get_settings(request)))


def _statistics(request: Request, statuses: list[ModelStatus]) -> Statistics:
    counted = read(get_metrics(request).registry)
    return Statistics.model_validate({"model_stats": statistics(counted, statuses)})


def _status(request: Request, name: str) -> ModelStatus:
    found = status_of(get_engine(request), name)
    if found is None:
        raise NotFoundError("There is no model of that name.", where="model")
    return found
