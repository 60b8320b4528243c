"""What is registered, what is in memory, and moving versions between stages."""

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from services.core.errors import CheckpointError, NotFoundError, SlipwayError
from services.core.settings import Settings
from services.core.signature import Signature
from services.gateway import examples, listing
from services.gateway.dependencies import (
    get_desk,
    get_engine,
    get_families,
    get_quality,
    get_settings,
)
from services.gateway.json_body import read_object
from services.gateway.openapi import error_responses, json_body
from services.gateway.parameters import Name
from services.gateway.schemas import (
    ModelDetails,
    ModelList,
    TransitionRequest,
    TransitionResponse,
)
from services.gateway.served import family_of, status_of
from services.gateway.validation import validated
from services.registry.catalogue import RegisteredModel, Stage, VersionRef
from services.registry.registry import Registry
from services.registry.stages import parse_stage

router = APIRouter(tags=["registry"])

_ACTOR = "POST /models/transition"
StageFilter = Annotated[
    str | None,
    Query(
        max_length=32,
        description="Only models that have a version in this stage.",
        examples=["production"],
    ),
]


@router.get("/models", responses=error_responses(422), summary="Every model")
async def models(request: Request, stage: StageFilter = None) -> ModelList:
    """As of the last look at the registry; `stale` says that MLflow does not answer now."""
    desk = get_desk(request)
    found = listing.models(desk.snapshot, get_engine(request).statuses())
    if stage is not None:
        wanted = parse_stage(stage)
        found = [entry for entry in found if listing.holds(entry, wanted)]
    return ModelList.model_validate(
        {"models": found, "total_count": len(found), "stale": desk.stale}
    )


@router.get("/models/{name}", responses=error_responses(404, 422), summary="One model")
async def one_model(request: Request, name: Name) -> ModelDetails:
    """Its versions, and what it takes: signature, an example, and a sentence."""
    desk, engine = get_desk(request), get_engine(request)
    registered = None if desk.snapshot is None else desk.snapshot.models.get(name)
    status = status_of(engine, name)
    if registered is None and status is None:
        raise NotFoundError("There is no model of that name.", where="name")
    record = Record([], stale=desk.stale)
    if registered is not None:
        record = Record(_held(registered), stale=True)
        with suppress(SlipwayError):
            record = await desk.ask(partial(read_record, registered, get_settings(request)))
    serving = engine.model(name)
    signature = serving.signature if serving is not None and serving.signature else record.signature
    family = family_of(engine, get_families(request), name)
    return ModelDetails.model_validate(
        {
            **listing.model(name, registered, status),
            "versions": [listing.version(ref) for ref in record.versions],
            "signature": listing.signature(signature),
            "example": record.example,
            "input": None
            if family is None
            else listing.input_form(family.field, family.takes, signature),
            "quality": await get_quality(request).of(name),
            "stale": record.stale,
        }
    )


@dataclass(frozen=True, slots=True)
class Record:
    """What the registry holds of one model."""

    versions: list[VersionRef]
    signature: Signature | None = None
    example: Any = None
    stale: bool = False


def read_record(model: RegisteredModel, settings: Settings, registry: Registry) -> Record:
    """Return every version, and signature and example of the one in production, else the latest.

    Raises:
        SlipwayError: MLflow does not answer.
    """
    from services.registry.details import details

    versions = registry.versions(model.name)
    if model.production is None:
        # Its files are not here, and need not be fetched for a look at it.
        found = None if model.latest is None else details(settings, model.latest).signature
        return Record(versions, found)
    try:
        artifact = registry.fetch(model.production)
    except CheckpointError:
        # What may not be opened has versions all the same.
        return Record(versions)
    return Record(versions, artifact.signature, artifact.example)


def _held(model: RegisteredModel) -> list[VersionRef]:
    shown = (model.latest, model.production, model.staging, model.previous)
    return list({ref.version: ref for ref in shown if ref is not None}.values())


@router.post(
    "/models/transition",
    responses=error_responses(400, 404, 408, 409, 413, 415, 422, 503, 504),
    openapi_extra=json_body(TransitionRequest.model_json_schema(), examples.TRANSITION),
    summary="Move a version to a stage",
)
async def transition(request: Request) -> TransitionResponse:
    """Whoever held the stage is archived. The new version is loaded and warmed before it serves."""
    body = validated(TransitionRequest, await read_object(request))
    stage = parse_stage(body.stage)
    desk = get_desk(request)

    def move(registry: Registry) -> tuple[str | None, VersionRef]:
        before = _holder(registry, body.model_name, stage)
        return before, registry.transition(body.model_name, str(body.version), stage, actor=_ACTOR)

    previous, ref = await desk.ask(move)
    desk.wake()
    return TransitionResponse(
        success=True,
        model_name=ref.name,
        version=ref.version,
        stage=stage.title,
        previous_version=previous if previous != ref.version else None,
        message=f"Version {ref.version} of {ref.name} is now in stage {stage.title}.",
    )


def _holder(registry: Registry, name: str, stage: Stage) -> str | None:
    if stage not in (Stage.PRODUCTION, Stage.STAGING):
        return None
    try:
        return registry.find(name, stage=stage).version
    except NotFoundError:
        return None
