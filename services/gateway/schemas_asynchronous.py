"""The JSON of what is asked for now and made later: `POST /predictions`, `GET /task/{id}`."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_VERSION = r"^[A-Za-z0-9._-]{1,64}$"

# `output` and `logs` are known to clients of Replicate; of these two nothing is ever told here.
WebhookEvent = Literal["start", "progress", "output", "logs", "completed"]
TaskStatus = Literal["processing", "completed", "failed"]


class PredictionRequest(BaseModel):
    """A prediction to make."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: Annotated[str, Field(min_length=1, max_length=250)] = Field(
        description="Name of the registered model."
    )
    version: Annotated[str, Field(pattern=_VERSION)] | None = Field(
        default=None, description="Which version; not with `stage`."
    )
    stage: Annotated[str, Field(max_length=32)] | None = Field(
        default=None,
        description="Version of which stage; without it, what is in production when it is made.",
    )
    input: dict[str, Any] = Field(
        description="What `POST /models/{name}/predict` takes as its body. For models that take"
        " pictures: `image`, the file in base64 (or as a data: URL); a segmenter also takes"
        " `threshold` and `include`, as `POST /process-image` does."
    )
    ttl: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = Field(
        default=None,
        description="Seconds: a prediction that nobody has begun by then ends as `expired`."
        " Without it, and at most, JOB_TTL.",
    )
    webhook: Annotated[str, Field(min_length=1, max_length=2048)] | None = Field(
        default=None, description="Address (http, https) that is told of what happens, signed."
    )
    webhook_events_filter: (
        Annotated[list[WebhookEvent], Field(min_length=1, max_length=5)] | None
    ) = Field(
        default=None,
        description="Of what: `start`, `progress`, `completed`; without it, of all three.",
    )


class Urls(BaseModel):
    """Where the prediction is asked about, ended, and watched."""

    get: str = Field(examples=["/predictions/01937f5c-9f2b-7cc0-8000-6f1e5b9a3d21"])
    cancel: str
    stream: str = Field(description="With `Accept: text/event-stream`.")


class Position(BaseModel):
    """How far it is from its turn."""

    ahead: int = Field(description="Predictions that come before it.")
    seconds: float | None = Field(description="Until its turn, as far as that can be guessed.")


class AcceptedPrediction(BaseModel):
    """A prediction that will be made: what is durable when this is answered."""

    id: str = Field(description="Also in the header X-Prediction-ID.")
    status: Literal["starting", "processing", "succeeded", "failed", "canceled", "expired"]
    model: str
    version: str | None = Field(
        description="Null where the one in production makes it and that is not decided yet."
    )
    created_at: str
    urls: Urls


class AcceptedTask(BaseModel):
    """A picture that will be processed."""

    task_id: str
    status: TaskStatus
    prediction_id: str = Field(description="The same id; also in the header X-Prediction-ID.")
    status_url: str = Field(examples=["/task/01937f5c-9f2b-7cc0-8000-6f1e5b9a3d21"])
    created_at: str


class TaskError(BaseModel):
    """Why there is no result."""

    code: str
    message: str
    where: str | None = None
    expected: str | None = None


class Task(BaseModel):
    """How far a task is."""

    task_id: str
    status: TaskStatus = Field(
        description="What was canceled, or nobody began in time, has failed; `error` says so."
    )
    result: dict[str, Any] | None = Field(
        description="What the synchronous route would have answered. Null until it is completed."
    )
    error: TaskError | None
    prediction_id: str
    created_at: str
    started_at: str | None
    completed_at: str | None
