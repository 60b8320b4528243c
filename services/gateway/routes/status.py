"""What is running here, and how it is: information, health, metrics, the model."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from starlette.responses import FileResponse

from services import __version__
from services.core.errors import ModelUnavailableError
from services.core.metrics import CONTENT_TYPE
from services.engine.engine import Engine
from services.engine.host import State
from services.gateway.dependencies import get_engine, get_metrics, get_settings
from services.gateway.openapi import error_responses
from services.gateway.routes.pages import home_page
from services.gateway.schemas import Alive, Health, ModelInfoResponse, Ready, ServiceInfo

router = APIRouter(tags=["status"])

EngineOf = Annotated[Engine, Depends(get_engine)]

_ENDPOINTS = {
    "process_image": "POST /process-image",
    "health": "GET /health",
    "live": "GET /health/live",
    "ready": "GET /health/ready",
    "metrics": "GET /metrics",
    "model_info": "GET /model/info",
    "openapi": "GET /openapi.json",
}


@router.get("/", response_model=ServiceInfo, summary="What this address is")
async def root(request: Request, response: Response) -> ServiceInfo | FileResponse:
    """The API's information as JSON; a page for people where `Accept` asks for `text/html`."""
    if "text/html" in request.headers.get("accept", "").lower():
        return home_page()
    response.headers["Vary"] = "Accept"
    return ServiceInfo(
        name="Slipway",
        version=__version__,
        environment=get_settings(request).environment,
        documentation="/docs",
        endpoints=_ENDPOINTS,
    )


@router.get("/health", summary="A summary for people and dashboards")
async def health(engine: EngineOf) -> Health:
    """Always 200 while the process answers; probes use `/health/live` and `/health/ready`."""
    states = {name: host.state for name, host in engine.hosts.items()}
    status = "healthy" if engine.not_ready() is None else "starting"
    if State.FAILED in states.values():
        status = "failed"
    if engine.draining:
        status = "draining"
    return Health(
        status=status,
        version=__version__,
        services={"gateway": "healthy", "engine": status},
        models={name: state is State.READY for name, state in states.items()},
    )


@router.get("/health/live", summary="Does the process answer?")
async def live() -> Alive:
    """Say nothing about the models: a slow load is no reason to restart the process."""
    return Alive(status="alive")


@router.get("/health/ready", responses=error_responses(503), summary="May requests come?")
async def ready(engine: EngineOf) -> Ready:
    """200 once every model is warm; 503 with the reason before, and while shutting down."""
    reason = engine.not_ready()
    if reason is not None:
        raise ModelUnavailableError(reason, where="models", retry_after=1)
    return Ready(status="ready", models={n: str(h.state) for n, h in engine.hosts.items()})


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    summary="Metrics for Prometheus",
)
async def metrics(request: Request) -> Response:
    """Every metric in Prometheus' text format."""
    return Response(get_metrics(request).exposition(), media_type=CONTENT_TYPE)


async def model_info(engine: EngineOf) -> ModelInfoResponse:
    """Name, version, device and settings of the first model that serves here."""
    host = next(iter(engine.hosts.values()), None)
    if host is None:
        raise ModelUnavailableError("No model serves here.", where="models")
    info = host.use().model.info
    return ModelInfoResponse(
        name=info.name,
        version=info.version,
        family=info.family,
        task=info.task,
        device=info.device,
        memory_bytes=info.memory_bytes,
        details=dict(info.details),
    )


# Three names, as the documents that Slipway is built from use them.
for _path, _summary, _id in (
    ("/model/info", "The model in memory", "model_info"),
    ("/model-info", "As /model/info, under a second name", "model_info_second_name"),
    ("/model_info", "As /model/info, under a third name", "model_info_third_name"),
):
    router.add_api_route(
        _path,
        model_info,
        responses=error_responses(503),
        summary=_summary,
        operation_id=_id,
    )
