"""MLflow's own webhook: a hint that the registry has changed. Polling finds it anyway."""

import time

from fastapi import APIRouter, Request

from services.core.errors import InvalidInputError, NotFoundError, UnauthorizedError
from services.gateway.dependencies import get_desk
from services.gateway.openapi import error_responses
from services.gateway.schemas import Accepted

router = APIRouter(tags=["registry"])


@router.post(
    "/models/webhook",
    status_code=202,
    responses=error_responses(401, 404, 408, 413),
    summary="MLflow says that the registry has changed",
)
async def mlflow_webhook(request: Request) -> Accepted:
    """Takes what is signed with MLFLOW_WEBHOOK_SECRET, and looks at the registry at once."""
    deliveries = get_desk(request).deliveries
    if deliveries is None:
        raise NotFoundError(
            "Webhooks are not taken here.",
            where="path",
            expected="a gateway with MLFLOW_WEBHOOK_SECRET and MLFLOW_TRACKING_URI",
        )
    body = await request.body()
    try:
        deliveries.accept(request.headers, body, time.time())
    except InvalidInputError as error:
        raise UnauthorizedError(error.message, where=error.where, expected=error.expected) from None
    get_desk(request).wake()
    return Accepted(accepted=True)
