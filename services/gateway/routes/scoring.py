"""MLflow's scoring server: `POST /invocations` in JSON, CSV or Parquet, `/ping` and `/version`."""

import asyncio
from functools import partial
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import PlainTextResponse

from services.core.errors import ModelUnavailableError, UnsupportedMediaError
from services.core.signature import Signature
from services.engine.messages import PredictRequest
from services.gateway import examples
from services.gateway.bodies import read_body
from services.gateway.default_model import default_model
from services.gateway.dependencies import get_engine, get_settings
from services.gateway.foreign import ask_given, asked_for, done, reply, signature_of
from services.gateway.json_body import is_json, media_type
from services.gateway.media import media_received
from services.gateway.openapi import error_responses, foreign_responses
from services.gateway.parameters import Name, StageName, Version
from services.gateway.schemas_foreign import Scored, ScoringError
from services.gateway.tables import csv_body, parquet_body, scoring_json
from services.gateway.tables.given import Given

router = APIRouter(tags=["mlflow scoring"])

CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"
# Under which other names the same comes.
_PARQUET = (PARQUET, "application/x-parquet", "application/parquet")
_UTF_8 = ("", "utf-8", "utf8")
_SCHEMA = {
    "type": "object",
    "description": "Exactly one of the four, and `params` where the model has any.",
    "properties": {
        "dataframe_split": {
            "type": "object",
            "properties": {
                "columns": {"type": "array"},
                "index": {"type": "array"},
                "data": {"type": "array"},
            },
            "required": ["data"],
            "additionalProperties": False,
        },
        "dataframe_records": {"type": "array"},
        "instances": {},
        "inputs": {},
        "params": {"type": "object"},
    },
    "additionalProperties": False,
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _SCHEMA, "examples": examples.SCORING},
            CSV: {"schema": {"type": "string"}, "example": examples.SCORING_CSV},
            PARQUET: {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
_RESPONSES = foreign_responses(
    Scored, ScoringError, 400, 404, 408, 413, 415, 422, 429, 500, 503, 504, identified=True
)
_TEXT: dict[str, Any] = {"content": {"text/plain": {"schema": {"type": "string"}}}}


@router.post(
    "/invocations",
    response_model=None,
    responses=_RESPONSES,
    openapi_extra=_BODY,
    summary="Predict with the default model (MLflow scoring)",
)
async def invocations(request: Request) -> Response:
    """As `mlflow models serve`. Columns that the model's signature does not name are ignored.

    The setting DEFAULT_MODEL says which model answers; without it `ml_classifier`, or the only
    one that takes JSON.
    """
    name = default_model(request)
    request.scope["state"]["model"] = name
    return await _invoke(request, asked_for(name))


@router.post(
    "/models/{name}/invocations",
    response_model=None,
    responses=_RESPONSES,
    openapi_extra=_BODY,
    summary="Predict with one model (MLflow scoring)",
)
async def model_invocations(
    request: Request, name: Name, version: Version = None, stage: StageName = None
) -> Response:
    """As `POST /invocations`, for any model and any version of it."""
    return await _invoke(request, asked_for(name, version, stage))


@router.post(
    "/endpoints/{name}/invocations",
    response_model=None,
    responses=_RESPONSES,
    openapi_extra=_BODY,
    summary="Predict with one model (MLflow deployments)",
)
async def endpoint_invocations(request: Request, name: Name) -> Response:
    """As `POST /invocations`; where MLflow's deployments client sends its rows."""
    return await _invoke(request, asked_for(name))


@router.get(
    "/ping",
    response_class=PlainTextResponse,
    responses={200: _TEXT, **error_responses(503)},
    summary="May requests come? (MLflow scoring)",
)
async def ping(request: Request) -> Response:
    """As `/health/ready`, with nothing in it."""
    reason = get_engine(request).not_ready()
    if reason is not None:
        raise ModelUnavailableError(reason, where="models", retry_after=1)
    return PlainTextResponse("\n")


@router.get(
    "/version",
    response_class=PlainTextResponse,
    responses={200: _TEXT},
    summary="Version of MLflow (MLflow scoring)",
)
async def mlflow_version() -> Response:
    """The version of MLflow that models are loaded with, as its scoring server answers it."""
    for package in ("mlflow", "mlflow-skinny"):
        try:
            return PlainTextResponse(version_of(package))
        except PackageNotFoundError:
            continue
    return PlainTextResponse("none")


async def _invoke(request: Request, asked: PredictRequest) -> Response:
    kind, charset = media_type(request), _charset(request)
    if not is_json(kind) and kind != CSV and kind not in _PARQUET:
        raise UnsupportedMediaError(
            "The body is of a media type that is not taken here.",
            where="Content-Type",
            expected=f"application/json, {CSV} or {PARQUET}",
            received=media_received(kind),
        )
    if is_json(kind) and charset not in _UTF_8:
        raise UnsupportedMediaError(
            "JSON is only taken in UTF-8.", where="Content-Type", expected="charset=utf-8"
        )
    raw = await read_body(request)
    body = None
    if is_json(kind):
        body = await done(partial(scoring_json.parse_with_gaps, raw), len(raw))
    signature = await signature_of(request, asked)
    if is_json(kind):
        given, params = await done(partial(scoring_json.read, body, signature), len(raw))
    else:
        given, params = await _table(request, raw, kind, signature), None
    rows = await ask_given(request, asked, given, params)
    return reply(rows, {"predictions": rows.predictions})


async def _table(request: Request, raw: bytes, kind: str, signature: Signature | None) -> Given:
    settings = get_settings(request)
    if kind == CSV:
        read = partial(csv_body.read, raw, _charset(request), signature, settings.max_rows)
        return await done(read, len(raw))
    # Always in a thread: what is small may still unpack into much.
    return await asyncio.to_thread(
        parquet_body.read, raw, signature, settings.max_rows, settings.max_file_size
    )


def _charset(request: Request) -> str:
    """Return the charset that the header Content-Type names, in small letters."""
    for part in request.headers.get("content-type", "").split(";")[1:]:
        name, _, value = part.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower()
    return ""
