"""The Open Inference Protocol, version 2, over HTTP: `/v2`, `/v2/health`, `/v2/models/…`."""

import asyncio
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Path, Request, Response
from starlette.responses import JSONResponse

from services import __version__
from services.core.errors import InvalidInputError
from services.engine.messages import PredictRequest
from services.gateway import examples
from services.gateway.bodies import read_body
from services.gateway.dependencies import get_engine
from services.gateway.direct import DirectRoute
from services.gateway.disconnect import unless_gone
from services.gateway.oip import encode, payload
from services.gateway.oip.decode import HEAD_LENGTH, read
from services.gateway.oip.metadata import metadata_of, takes_pictures
from services.gateway.oip.reply import reply
from services.gateway.oip.schemas import (
    REQUEST,
    InferAnswer,
    ModelMetadata,
    ModelReady,
    ServerMetadata,
    ServerState,
)
from services.gateway.openapi import foreign_responses
from services.gateway.parameters import Name
from services.gateway.rows import ask
from services.gateway.schemas_foreign import TextError
from services.gateway.scope import header
from services.gateway.served import check_serves

router = APIRouter(prefix="/v2", tags=["open inference protocol"])

_EXTENSIONS = ["binary_tensor_data", "model_configuration", "model_repository", "statistics"]
_ERRORS = (400, 404, 408, 413, 415, 422, 429, 500, 503, 504)
_HEAD_LENGTH = HEAD_LENGTH.lower().encode()
# Beyond it (bytes) decoding takes milliseconds, which other requests should not wait for.
_SMALL = 64 * 1024

PathVersion = Annotated[
    str, Path(pattern=r"^[A-Za-z0-9._-]{1,64}$", description="Number of the version.")
]


@router.get("", summary="Which server this is")
@router.get("/", include_in_schema=False)
async def v2_server() -> ServerMetadata:
    """Its name, its version, and what of the protocol's extensions it offers."""
    return ServerMetadata(name="slipway", version=__version__, extensions=_EXTENSIONS)


@router.get("/health/live", summary="Does the process answer? (v2)")
async def v2_live(request: Request) -> ServerState:
    """Always 200 while it does."""
    return ServerState(live=True, ready=get_engine(request).not_ready() is None)


@router.get(
    "/health/ready",
    responses={503: {"model": ServerState, "description": "The models that must serve do not."}},
    response_model=ServerState,
    summary="May requests come? (v2)",
)
async def v2_ready(request: Request) -> ServerState | JSONResponse:
    """200 once the models that must serve do; 503 before, and while the service ends."""
    reason = get_engine(request).not_ready()
    if reason is None:
        return ServerState(live=True, ready=True)
    body = {"live": True, "ready": False, "error": reason}
    return JSONResponse(body, 503, {"Retry-After": "1"})


@router.get(
    "/models/{name}",
    responses=foreign_responses(None, TextError, 404, 422, 503, 504),
    summary="What a model takes and gives (v2)",
)
async def v2_model(request: Request, name: Name) -> ModelMetadata:
    """Of the version in production."""
    return ModelMetadata.model_validate(await metadata_of(request, PredictRequest(name, None)))


@router.get(
    "/models/{name}/versions/{version}",
    responses=foreign_responses(None, TextError, 404, 422, 503, 504),
    summary="What a version takes and gives (v2)",
)
async def v2_model_version(request: Request, name: Name, version: PathVersion) -> ModelMetadata:
    """The version is brought into memory for it."""
    asked = PredictRequest(name, None, version=version)
    return ModelMetadata.model_validate(await metadata_of(request, asked))


@router.get(
    "/models/{name}/ready",
    responses=foreign_responses(None, TextError, 404, 422, 503, 504),
    summary="Does a model answer? (v2)",
)
async def v2_model_ready(request: Request, name: Name) -> ModelReady:
    """200 where it does, also where it is put back into memory for it; else 503."""
    await check_serves(request, name)
    return ModelReady(name=name, ready=True)


@router.get(
    "/models/{name}/versions/{version}/ready",
    responses=foreign_responses(None, TextError, 404, 422, 503, 504),
    summary="Is a version in memory? (v2)",
)
async def v2_version_ready(request: Request, name: Name, version: PathVersion) -> ModelReady:
    """503 for a version that would first have to be loaded; a request for it does that."""
    await check_serves(request, name, version)
    return ModelReady(name=name, ready=True)


async def v2_infer(request: Request) -> Response:
    """Tensors as JSON, or as raw bytes behind it (`Inference-Header-Content-Length`).

    A table of numbers is one tensor [rows, columns], whatever it is called, or one tensor [rows]
    for each column; other tables are one for each column. Texts and encoded pictures are BYTES
    [rows]. In JSON a picture is base64, and NaN and infinities are null in the answer.
    """
    return await _infer(request)


async def v2_infer_version(request: Request) -> Response:
    """As `/v2/models/{name}/infer`, with the version in the path."""
    return await _infer(request)


def install(app: FastAPI) -> None:
    """Add the routes; behind those of the repository, for `stats` is no model's name."""
    for function, path, summary in (
        (v2_infer, "/v2/models/{name}/infer", "Predict with tensors (v2)"),
        (
            v2_infer_version,
            "/v2/models/{name}/versions/{version}/infer",
            "Predict with tensors, with one version (v2)",
        ),
    ):
        app.router.add_api_route(
            path,
            function,
            methods=["POST"],
            route_class_override=DirectRoute,
            response_model=None,
            tags=list(router.tags),
            responses=_responses(),
            openapi_extra=_request("{version}" in path),
            summary=summary,
        )
    app.include_router(router)


async def _infer(request: Request) -> Response:
    name: str = request.path_params["name"]
    wanted = PredictRequest(name, None, version=request.path_params.get("version"))
    body = await read_body(request)
    head_length = header(request.scope, _HEAD_LENGTH)
    if len(body) <= _SMALL:
        asked = read(body, head_length)
    else:
        asked = await asyncio.to_thread(partial(read, body, head_length))
    engine = get_engine(request)
    loaded = engine.in_memory(name, wanted.version)
    if loaded is None:
        model = await unless_gone(request, engine.opened(wanted))
    else:
        model = loaded.model
    given = payload.payload(
        asked, model.signature, arrays=model.arrays, pictures=takes_pictures(request, model)
    )
    timeout = payload.timeout(asked, model.signature)
    try:
        rows = await ask(
            request, PredictRequest(name, given, version=wanted.version, timeout=timeout)
        )
    except InvalidInputError as error:
        payload.relocated(error, asked, given)
        raise
    return await reply(request, *encode.answer(rows, asked), rows.id)


def _responses() -> dict[int | str, dict[str, Any]]:
    documented = foreign_responses(InferAnswer, TextError, *_ERRORS, identified=True)
    documented[200]["content"] = {
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
    }
    return documented


def _request(versioned: bool) -> dict[str, Any]:
    names = [("name", "path", "Name of the registered model.", True)]
    if versioned:
        names.append(("version", "path", "Number of the version.", True))
    head = "Length of the JSON in bytes, where raw bytes of tensors are behind it."
    names.append((HEAD_LENGTH, "header", head, False))
    content = {
        "application/json": {"schema": REQUEST, "examples": examples.TENSORS},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    }
    return {
        "parameters": [
            {
                "name": name,
                "in": place,
                "description": description,
                "required": required,
                "schema": {"type": "string"} if place == "path" else {"type": "integer"},
            }
            for name, place, description, required in names
        ],
        "requestBody": {"required": True, "content": content},
    }
