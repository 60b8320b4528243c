"""Whether the versions that serve are still asked what they were trained on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request

from services.core.errors import InvalidInputError, ModelUnavailableError, NotFoundError
from services.core.settings import Settings
from services.gateway.dependencies import get_desk, get_engine, get_ledger, get_settings
from services.gateway.openapi import error_responses
from services.gateway.schemas_drift import DriftStatus
from services.gateway.served import all_known
from services.monitoring import drift_status
from services.monitoring.drift_status import Version
from services.registry.catalogue import Stage

if TYPE_CHECKING:
    from services.ledger.database.drift import Look, State
    from services.ledger.questions import Connection

router = APIRouter(tags=["monitoring"])
# Looks that are shown of one version.
_MOST_LOOKS = 100

ModelName = Annotated[
    str | None, Query(min_length=1, max_length=250, description="Only of this model.")
]
VersionNumber = Annotated[
    str | None,
    Query(
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="Only this version, with its `history`; with `model`.",
    ),
]


@router.get(
    "/drift/status",
    responses=error_responses(404, 422, 503),
    response_model_exclude_unset=True,
    summary="Are models asked what they were trained on?",
)
async def drift(
    request: Request, model: ModelName = None, version: VersionNumber = None
) -> DriftStatus:
    """Each version in production and staging, as it was found at the last look: the newest
    predictions against the baseline that was stored with the version when it was trained. A `score`
    of 1 is where the alarm is.

    Workers look every DRIFT_EVERY seconds; where there are none, `slipway drift check` does.
    """
    if version is not None and model is None:
        raise InvalidInputError(
            "A version is of a model.", where="model", expected="the name of a registered model"
        )
    settings = get_settings(request)
    known = _registered(request)
    states, looks = await _read(request, model, version)
    if model is None:
        shown = [one for name in sorted(known) for one in known[name]]
    else:
        shown = _of(request, model, version, known, states)
    found = {(state.model, state.version): state for state in states}
    entries = [
        drift_status.entry(
            one,
            found.get((one.model, one.version)),
            recording=settings.ledger,
            looks=None if version is None else looks,
        )
        for one in shown
    ]
    return DriftStatus.model_validate(
        {
            "drift_detected": any(one["drift_detected"] for one in entries),
            "models": entries,
            "total_count": len(entries),
            "every_seconds": _every(settings),
            "stale": get_desk(request).stale,
        }
    )


def _registered(request: Request) -> dict[str, list[Version]]:
    """Return the versions that hold a stage, by model; what has no registry has one of its own."""
    found = {
        one.name: [Version(one.name, one.serving, str(Stage.PRODUCTION))] if one.serving else []
        for one in get_engine(request).statuses()
    }
    snapshot = get_desk(request).snapshot
    if snapshot is not None:
        found |= {name: drift_status.of_model(one) for name, one in snapshot.models.items()}
    return found


def _of(
    request: Request,
    model: str,
    version: str | None,
    known: dict[str, list[Version]],
    states: "Sequence[State]",
) -> list[Version]:
    """Return the versions of a model: those that hold a stage, and those that were looked at once.

    Raises:
        NotFoundError: there is no such model, or no such version.
        ModelUnavailableError: the models are not known yet.
    """
    if model not in known and not states:
        if not all_known(request):
            raise ModelUnavailableError("The models here are not known yet.", retry_after=1)
        raise NotFoundError("There is no model of that name.", where="model")
    shown = drift_status.beside(known.get(model, []), states)
    if version is None:
        return shown
    chosen = [one for one in shown if one.version == version]
    if not chosen:
        raise NotFoundError(
            "This version holds no stage, and was not looked at before.",
            where="version",
            expected=", ".join(one.version for one in shown) or None,
        )
    return chosen


async def _read(
    request: Request, model: str | None, version: str | None
) -> "tuple[list[State], list[Look]]":
    """Return what the last looks found, and those at one version before.

    Raises:
        LedgerUnavailableError: the database does not answer.
    """
    desk = get_ledger(request)
    if not (desk.recording or desk.keeps_jobs):
        return [], []

    def read(connection: "Connection") -> "tuple[list[State], list[Look]]":
        # Here, in the thread: the import would hold up the loop.
        from services.ledger.database import drift

        looks: list[Look] = []
        if model is not None and version is not None:
            looks = drift.history(connection, (model, version), _MOST_LOOKS)
        return drift.states(connection, model), looks

    return await desk.read(read)


def _every(settings: Settings) -> float:
    """Return how often somebody looks by himself; 0: nobody does."""
    looked_after = settings.jobs and settings.redis_url is not None
    return settings.drift_every if looked_after else 0.0
