"""The JSON of trainings and sweeps as jobs."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.gateway.schemas_asynchronous import Position, WebhookEvent

_WITHOUT_NUL = r"^[^\x00]*$"
_NAME = r"^[^\x00-\x1f\x7f]+$"
_LARGEST_SEED = 2**31 - 1

Status = Literal["running", "completed", "failed", "canceled", "expired"]
State = Literal["starting", "processing", "succeeded", "failed", "canceled", "expired"]


class _Asked(BaseModel):
    """What a training and a sweep have in common."""

    family: Annotated[str, Field(min_length=1, max_length=250)] = Field(
        default="digits",
        description="What to train: a family (digits, shapes, tabular, sentiment, ...), or the name"
        " that its models are registered under (MNISTClassifier, sentiment-analysis-bert, ...).",
    )
    seed: Annotated[int, Field(ge=0, le=_LARGEST_SEED)] = Field(
        default=0, description="Same seed, same metrics."
    )
    stage: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="Where to move the version: staging, production."
    )
    version_tag: Annotated[str, Field(max_length=64, pattern=_NAME)] | None = Field(
        default=None, description="Your own version, such as 1.0.0, kept as a tag."
    )
    experiment_name: Annotated[str, Field(max_length=250, pattern=_NAME)] | None = Field(
        default=None, description="MLflow experiment; else the one that is set, or the family's."
    )
    run_name: Annotated[str, Field(max_length=250, pattern=_NAME)] | None = Field(
        default=None, description="Name of the run in MLflow."
    )
    ttl: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = Field(
        default=None,
        description="Seconds: what no worker has begun by then ends as `expired`. At most JOB_TTL.",
    )
    webhook: Annotated[str, Field(min_length=1, max_length=2048)] | None = Field(
        default=None, description="Address (http, https) that is told of what happens, signed."
    )
    webhook_events_filter: (
        Annotated[list[WebhookEvent], Field(min_length=1, max_length=4)] | None
    ) = Field(default=None, description="Of what; without it, of everything.")


class TrainRequest(_Asked):
    """A training. The parameters of the family stand beside these fields, or in `params`."""

    model_config = ConfigDict(extra="allow", strict=True)

    params: dict[str, Any] | None = Field(
        default=None,
        description="The family's parameters, by name; those that are not given have defaults.",
    )
    register_model: bool | None = Field(
        default=None, description="Put the model into the registry; true unless said otherwise."
    )
    description: Annotated[str, Field(max_length=1000, pattern=_WITHOUT_NUL)] = Field(
        default="", description="What is special about this version."
    )


class SweepRequest(_Asked):
    """A sweep: trainings with parameters drawn anew, of which the best is kept."""

    model_config = ConfigDict(extra="forbid", strict=True)

    runs: Annotated[int, Field(ge=1, le=1000)] = Field(default=10, description="Trainings.")
    sampler: Literal["random", "tpe"] = Field(
        default="random",
        description="How to draw parameters: tpe learns from the trainings before, in rounds of"
        " `parallel`.",
    )
    parallel: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1, description="Trainings at once; never more than the worker has cores."
    )
    fixed: dict[str, Any] | None = Field(
        default=None, description="Parameters that are not varied."
    )
    register_best: bool = Field(
        default=True, description="Put the best model, and only that, into the registry."
    )


class TrainModelRequest(BaseModel):
    """Which of the sentiment models."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: Literal["tfidf", "bert"] = "tfidf"


class TrainingUrls(BaseModel):
    """Where the job is asked about, ended, and watched."""

    get: str = Field(examples=["/train/status/job_000042"])
    cancel: str
    stream: str = Field(description="With `Accept: text/event-stream`.")
    job: str = Field(description="The same job among those of every kind.")


class AcceptedTraining(BaseModel):
    """A training that will be done: what is durable when this is answered."""

    message: str = Field(examples=["Training job accepted and queued"])
    job_id: str = Field(examples=["job_000042"])
    experiment_name: str
    status: Status
    id: str = Field(description="The job's UUID; every address takes either.")
    family: str
    created_at: str
    urls: TrainingUrls


class TrainingError(BaseModel):
    """Why there is no model."""

    code: str
    message: str
    where: str | None = None
    expected: str | None = None


class Point(BaseModel):
    """A point of the curve."""

    epoch: int
    metrics: dict[str, float | None]


class TrainingProgress(BaseModel):
    """How far it is."""

    phase: str = Field(description="In words: reading data, training, registering ...")
    epoch: int = Field(description="Epochs or rounds that are done; of a sweep, trainings.")
    total: int | None = Field(description="Of how many; null before the first.")
    fraction: float = Field(description="0 to 1.")
    attempt: int = Field(description="Of at most 3: another worker takes over from one that died.")


class ListedTraining(BaseModel):
    """A training or a sweep, in short."""

    job_id: str
    id: str
    task: Literal["train", "sweep"]
    family: str
    model_name: str | None = Field(description="Under which it is registered, once that is known.")
    version: str | None = Field(description="The registry's number, once it is registered.")
    experiment_name: str
    status: Status = Field(description="`running` until it has ended, queued or not.")
    state: State = Field(description="As of every job: `starting` while it is queued.")
    cancel_requested: bool
    progress: TrainingProgress | None
    metrics: dict[str, float | None] = Field(
        description="Of the last epoch; once completed, on held-out data."
    )
    run_id: str | None = Field(description="Of the run in MLflow, as soon as there is one.")
    run_url: str | None = Field(description="Its page in MLflow.")
    error: TrainingError | None
    created_at: str
    started_at: str | None
    completed_at: str | None
    urls: TrainingUrls


class TrainingStatus(ListedTraining):
    """Everything about a training or a sweep."""

    params: dict[str, Any] = Field(description="Of a sweep: those that are not varied.")
    seed: int
    position: Position | None = Field(description="While it is queued.")
    attempts: int
    history: list[Point] = Field(description="The curve, at most 200 points.")
    result: dict[str, Any] | None = Field(description="What came of it, once it is completed.")


class TrainingList(BaseModel):
    """Trainings and sweeps, the newest first."""

    jobs: list[ListedTraining]
    total_count: int = Field(description="Of all that fit, on whichever page.")
    next: str | None = Field(description="Path of the next page: older ones. Null on the last.")


class TrainedModel(BaseModel):
    """A model that was trained while the caller waited."""

    message: str = Field(examples=["Model training completed successfully!"])
    job_id: str
    id: str
    model: str
    version: str | None
    metrics: dict[str, float]
    run_id: str | None
    run_url: str | None
