"""What the routes of jobs are asked: queries, and how a batch's body is documented."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from services.gateway.job_requests import IDEMPOTENCY_KEY
from services.gateway.parameters import StageName, Version
from services.gateway.schemas_jobs import JobStatus

BATCH = "/jobs/batch"
_MOST = 200
_CURSOR = r"^[0-9a-f]{1,15}$"

FILE: dict[str, Any] = {"type": "string", "format": "binary"}
BODY: dict[str, Any] = {
    "parameters": [IDEMPOTENCY_KEY],
    "requestBody": {
        "required": True,
        "content": {
            "application/x-ndjson": {
                "schema": {"type": "string"},
                "example": '{"features": [0.1, 0.2]}\n{"features": [0.3, 0.4]}\n',
            },
            "text/csv": {"schema": {"type": "string"}, "example": "a,b\n0.1,0.2\n0.3,0.4\n"},
            "application/vnd.apache.parquet": {"schema": FILE},
            "application/zip": {"schema": FILE},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": FILE},
                }
            },
        },
    },
}


class Wanted(BaseModel):
    """What a batch asks besides its body."""

    model: Annotated[str, Field(min_length=1, max_length=250, description="Registered name.")]
    version: Version = None
    stage: StageName = None
    threshold: Annotated[
        float | None,
        Field(
            ge=0,
            le=1,
            allow_inf_nan=False,
            description="Objects scored above it are returned; only of models that find objects.",
        ),
    ] = None
    ttl: Annotated[
        float | None,
        Field(
            ge=1,
            allow_inf_nan=False,
            description="Seconds after which nobody begins it any more; at most JOB_TTL.",
        ),
    ] = None
    webhook: Annotated[
        str | None, Field(min_length=1, max_length=2048, description="Address to be told.")
    ] = None


class Filters(BaseModel):
    """Which jobs are asked for."""

    task: Annotated[str | None, Field(pattern=r"^[a-z_]{1,32}$")] = None
    queue: Annotated[str | None, Field(pattern=r"^[a-z_]{1,16}$")] = None
    status: JobStatus | None = None
    model: Annotated[str | None, Field(min_length=1, max_length=250)] = None
    since: Annotated[
        str | None,
        Field(max_length=40, description="Accepted since this time, or this long ago (15m, 2h)."),
    ] = None
    limit: Annotated[int, Field(ge=1, le=_MOST, description="How many on a page.")] = 20
    after: Annotated[
        str | None, Field(pattern=_CURSOR, description="Where the page begins: use `next`.")
    ] = None
