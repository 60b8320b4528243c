"""What was trained: MLflow's experiments and runs."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from services.gateway.dependencies import get_desk, get_settings
from services.gateway.openapi import error_responses
from services.gateway.schemas import ExperimentList, RunList

router = APIRouter(tags=["training"])

Limit = Annotated[int, Query(ge=1, le=1000, description="How many, the newest first.")]
Experiment = Annotated[
    str | None,
    Query(min_length=1, max_length=250, description="Name of the experiment; without it, all."),
]


@router.get("/experiments", responses=error_responses(503, 504), summary="Every experiment")
async def experiments(request: Request) -> ExperimentList:
    """With how many runs it has, and the best of them: by `accuracy`, or, where no run has that, by
    the metric that most of the newest have. While `complete` is false there are at least so many
    runs, and none better was found yet; ask again. The experiment of the predictions has no best.
    """
    settings = get_settings(request)

    def ask(_: object) -> list[dict[str, Any]]:
        from services.registry.experiments import experiments as known

        return known(settings)

    found = await get_desk(request).ask(ask)
    return ExperimentList.model_validate({"experiments": found, "total_count": len(found)})


@router.get(
    "/mlflow/runs", responses=error_responses(404, 422, 503, 504), summary="The latest runs"
)
async def runs(request: Request, limit: Limit = 20, experiment: Experiment = None) -> RunList:
    """With their parameters and metrics. The runs that hold predictions are not among them, unless
    `experiment` names theirs (LEDGER_EXPERIMENT).
    """
    settings = get_settings(request)

    def ask(_: object) -> list[dict[str, Any]]:
        from services.registry.runs import recent_runs

        return recent_runs(settings, limit, experiment)

    found = await get_desk(request).ask(ask)
    return RunList.model_validate({"runs": found, "total_count": len(found)})
