"""What is running here, and how it is: information, health, metrics."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from starlette.responses import FileResponse

from services import __version__
from services.core.errors import ModelUnavailableError
from services.core.metrics import CONTENT_TYPE
from services.engine.engine import Engine
from services.gateway import listing
from services.gateway.dependencies import (
    get_desk,
    get_engine,
    get_job_watch,
    get_metrics,
    get_settings,
)
from services.gateway.openapi import error_responses
from services.gateway.routes.pages import home_page
from services.gateway.schemas import Alive, Health, ModelFailure, Ready, ServiceInfo
from services.jobs.health import Verdict, judge

router = APIRouter(tags=["status"])

# Seconds to wait for what the database and Redis say; what they said before is not old.
_PATIENCE = 0.04
_SCRAPE_PATIENCE = 1.0

EngineOf = Annotated[Engine, Depends(get_engine)]

_ENDPOINTS = {
    "predict": "POST /predict",
    "predict_by_name": "POST /models/{name}/predict",
    "predict_batch": "POST /predict/batch",
    "process_image": "POST /process-image",
    "models": "GET /models",
    "model": "GET /models/{name}",
    "transition": "POST /models/transition",
    "experiments": "GET /experiments",
    "runs": "GET /mlflow/runs",
    "classes": "GET /classes",
    "model_info": "GET /model/info",
    "health": "GET /health",
    "live": "GET /health/live",
    "ready": "GET /health/ready",
    "metrics": "GET /metrics",
    "metrics_summary": "GET /metrics/summary",
    "drift": "GET /drift/status",
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
        status="alive",
        environment=get_settings(request).environment,
        documentation="/docs",
        endpoints=_ENDPOINTS,
    )


@router.get("/health", summary="A summary for people and dashboards")
async def health(request: Request, engine: EngineOf) -> Health:
    """Always 200 while the process answers; probes use `/health/live` and `/health/ready`."""
    found = engine.health()
    statuses = engine.statuses()
    status, reason = found["status"], found["reason"]
    services = {"gateway": "healthy", "engine": status}
    mlflow = get_desk(request).health
    if mlflow is not None:
        services["mlflow"] = mlflow
    if mlflow == "unavailable" and status == "healthy":
        status, reason = "degraded", "MLflow does not answer; what was known of it serves."
    jobs = await _jobs(request)
    if jobs is not None:
        services |= {name: said for name, said in jobs.services.items() if name not in services}
        if jobs.reason is not None and status == "healthy":
            status, reason = "degraded", jobs.reason
    return Health(
        status=status,
        version=__version__,
        service="Slipway",
        reason=reason,
        services=services,
        models={one.name: one.serves for one in statuses},
        workers={} if jobs is None else jobs.workers,
        failures=[
            ModelFailure(model=one.name, **failed)
            for one in statuses
            if (failed := listing.failure(one)) is not None
        ],
    )


async def _jobs(request: Request) -> Verdict | None:
    """Return how it stands with jobs, if there are any here; never waits long for it."""
    watch = get_job_watch(request)
    return None if watch is None else judge(await asyncio.to_thread(watch.look, _PATIENCE))


@router.get("/health/live", summary="Does the process answer?")
async def live() -> Alive:
    """Say nothing about the models: a slow load is no reason to restart the process."""
    return Alive(status="alive")


@router.get("/health/ready", responses=error_responses(503), summary="May requests come?")
async def ready(engine: EngineOf) -> Ready:
    """200 once the models that must serve do; 503 with the reason before, and while ending."""
    reason = engine.not_ready()
    if reason is not None:
        raise ModelUnavailableError(reason, where="models", retry_after=1)
    return Ready(status="ready", models={one.name: str(one.state) for one in engine.statuses()})


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    summary="Metrics for Prometheus",
)
async def metrics(request: Request) -> Response:
    """Every metric in Prometheus' text format."""
    watch = get_job_watch(request)
    if watch is not None:
        # What is read from the database shall be of now, if that does not take long.
        await asyncio.to_thread(watch.look, _SCRAPE_PATIENCE)
    # Some ten milliseconds, in which requests go on.
    content = await asyncio.to_thread(get_metrics(request).exposition)
    return Response(content, media_type=CONTENT_TYPE)
