"""What MLflow's deployments client asks of a server before it predicts: which endpoints it has."""

from urllib.parse import quote

from fastapi import APIRouter, Request

from services.core.errors import NotFoundError
from services.engine.status import ModelStatus
from services.gateway.dependencies import get_engine
from services.gateway.openapi import error_responses
from services.gateway.parameters import Name
from services.gateway.schemas_foreign import Endpoint, EndpointModel, Endpoints
from services.gateway.served import status_of

router = APIRouter(tags=["mlflow deployments"])

# MLflow only names types for language models; this one says which address takes the rows.
_TYPE = "mlflow/v1/invocations"


# The client asks with the slash; people do without.
@router.get(
    "/api/2.0/endpoints",
    operation_id="endpoints_without_slash",
    summary="As /api/2.0/endpoints/, without the slash",
)
@router.get("/api/2.0/endpoints/", summary="The models as endpoints (MLflow deployments)")
async def endpoints(request: Request) -> Endpoints:
    """Every model that has a version in production."""
    statuses = get_engine(request).statuses()
    found = [_endpoint(one) for one in statuses if one.wanted is not None]
    return Endpoints(endpoints=sorted(found, key=lambda one: one.name))


@router.get(
    "/api/2.0/endpoints/{name}",
    responses=error_responses(404, 422),
    summary="One model as an endpoint (MLflow deployments)",
)
async def endpoint(request: Request, name: Name) -> Endpoint:
    """Where `POST` takes its rows."""
    status = status_of(get_engine(request), name)
    if status is None:
        raise NotFoundError("There is no model of that name.", where="name")
    return _endpoint(status)


def _endpoint(status: ModelStatus) -> Endpoint:
    return Endpoint(
        name=status.name,
        endpoint_type=_TYPE,
        model=EndpointModel(name=status.name, provider="slipway"),
        endpoint_url=f"/endpoints/{quote(status.name, safe='')}/invocations",
    )
