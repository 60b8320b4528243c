"""What serves here: `GET /model/info` under its three names, and `GET /classes`."""

from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Query, Request

from services.core.errors import ModelUnavailableError, NotFoundError
from services.engine.engine import Engine
from services.engine.status import WORKERS, ModelStatus
from services.families.base import ModelInfo
from services.gateway.dependencies import get_choice, get_engine, get_families, get_settings
from services.gateway.openapi import error_responses
from services.gateway.schemas import Classes, ModelInfoResponse, ServedModel
from services.gateway.served import family_of, status_of
from services.registry.catalogue import Stage

router = APIRouter(tags=["status"])

# What `GET /model/info` showed when there was one model only.
_FIRST = "instance-segmentation"
# Under which of these a model's own details name its classes.
_LABELS = ("classes", "labels")

WhichModel = Annotated[
    str | None, Query(min_length=1, max_length=250, description="Name of the model.")
]


async def model_info(request: Request, name: WhichModel = None) -> ModelInfoResponse:
    """Name, version, device and settings of one model; and what else serves here.

    Without `name`: the segmenter if it serves, else the first model that does.
    """
    engine = get_engine(request)
    statuses = engine.statuses()
    info = _info(engine, statuses, name)
    return ModelInfoResponse(
        name=info.name,
        version=info.version,
        family=info.family,
        task=info.task,
        device=info.device,
        memory_bytes=info.memory_bytes,
        details=dict(info.details),
        models={status.name: _served(status) for status in statuses},
        mlflow_tracking_uri=bare(get_settings(request).mlflow_tracking_uri),
    )


# Three names, as the documents that Slipway is built from use them.
for _path, _summary, _id in (
    ("/model/info", "The models in memory", "model_info"),
    ("/model-info", "As /model/info, under a second name", "model_info_second_name"),
    ("/model_info", "As /model/info, under a third name", "model_info_third_name"),
):
    router.add_api_route(
        _path,
        model_info,
        responses=error_responses(404, 422, 503),
        summary=_summary,
        operation_id=_id,
    )


@router.get("/classes", responses=error_responses(404, 422), summary="The labels of a model")
async def classes(request: Request, model: WhichModel = None) -> Classes:
    """Without `model`: those of the model that `POST /predict` asks for a picture."""
    engine = get_engine(request)
    if model is None:
        choice = get_choice(request)
        family, name = choice.file, choice.of_file() if choice.file is not None else None
    else:
        _status(engine, model)
        family, name = family_of(engine, get_families(request), model), model
    if name is not None:
        found = engine.model(name)
        details: dict[str, Any] = {} if found is None else dict(found.info.details)
        own = next((details[key] for key in _LABELS if details.get(key)), None)
        labels = own or (family.labels if family is not None else ())
        if labels:
            return Classes(classes=[str(label) for label in labels], model=name)
    raise NotFoundError(
        "The model has no classes." if model else "No model here names its classes.",
        where="model",
        expected="the name of a classifier",
    )


def bare(uri: str | None) -> str | None:
    """Return an address without user, password, query, and the folders of a local file."""
    if uri is None:
        return None
    parts = urlsplit(uri)
    if parts.hostname is None:
        return f"{parts.scheme}:///{PurePosixPath(parts.path).name}"
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def _info(engine: Engine, statuses: list[ModelStatus], name: str | None) -> ModelInfo:
    if name is not None:
        status = _status(engine, name)
        info = _info_of(engine, status)
        if info is None:
            raise ModelUnavailableError(f"The model is {status.state}.", where="name")
        return info
    ordered = sorted(statuses, key=lambda status: status.task != _FIRST)
    for status in ordered:
        if (info := _info_of(engine, status)) is not None:
            return info
    reason = engine.not_ready() or "No model serves here."
    raise ModelUnavailableError(reason, where="models", retry_after=1)


def _info_of(engine: Engine, status: ModelStatus) -> ModelInfo | None:
    """Return what a model says about itself; of one on workers, what is known here."""
    found = engine.model(status.name)
    if found is not None:
        return found.info
    if status.placement != WORKERS or status.serving is None:
        return None
    family, task = status.family or "unknown", status.task or "unknown"
    return ModelInfo(status.name, status.serving, family, task, WORKERS, 0)


def _status(engine: Engine, name: str) -> ModelStatus:
    status = status_of(engine, name)
    if status is None:
        raise NotFoundError("There is no model of that name.", where="model")
    return status


def _served(status: ModelStatus) -> ServedModel:
    version = status.serving
    stages = {one.version: one.stage for one in status.versions}
    return ServedModel(
        loaded=version is not None,
        uri="Not configured" if version is None else f"models:/{status.name}/{version}",
        version=version,
        stage=None if version is None else stages.get(version, Stage.PRODUCTION).title,
    )
