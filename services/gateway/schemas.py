"""The JSON that the gateway takes and answers with, as it stands in the OpenAPI document."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from services.gateway.schemas_quality import VersionQuality


class ErrorDetail(BaseModel):
    """What was wrong."""

    code: str = Field(description="Stable name of the kind of error.", examples=["invalid_input"])
    message: str = Field(description="What was wrong, in one sentence.")
    where: str | None = Field(description="The field, parameter or header concerned.")
    expected: str | None = Field(description="What would have been accepted.")
    received: str | None = Field(
        description="What came instead, as type and shape; never the value."
    )
    help: str | None = Field(
        description="Path of what the model takes, or of the list of models.",
        examples=["/models/ml_classifier"],
    )
    request_id: str | None = Field(description="Also in the header X-Request-ID, and in the log.")


class ErrorResponse(BaseModel):
    """The body of every failed request."""

    error: ErrorDetail


class Mask(BaseModel):
    """A mask as COCO's compressed run lengths (`pycocotools.mask.decode` reads it)."""

    size: tuple[int, int] = Field(description="Height and width in pixels.")
    counts: str = Field(description="Compressed run lengths, column by column.")


class InstanceResponse(BaseModel):
    """One object."""

    box: tuple[float, float, float, float] = Field(
        description="x0, y0, x1, y1 in pixels of the upright picture."
    )
    score: float = Field(ge=0, le=1, description="How sure the model is.")
    area: int = Field(ge=0, description="Pixels that the mask covers.")
    mask: Mask | None = Field(description="Null unless `include` names masks.")


class ImageSize(BaseModel):
    """Size of the upright picture in pixels."""

    height: int
    width: int


class TimingsResponse(BaseModel):
    """Seconds for each phase; `queue` is all the waiting between them."""

    queue: float
    preprocess: float
    inference: float
    postprocess: float


class ModelName(BaseModel):
    """Which model answered."""

    name: str
    version: str


class PredictionResponse(BaseModel):
    """The model's output, and which version made it."""

    model_config = ConfigDict(extra="allow")

    prediction_id: str = Field(description="Also in the header X-Prediction-ID.")
    model_name: str
    model_version: str
    model_stage: str = Field(examples=["Production"])
    timestamp: str = Field(description="When it was answered, in UTC (ISO 8601).")


class ProcessImageResponse(PredictionResponse):
    """Every object found in a picture, by descending score."""

    success: bool
    model: ModelName
    threshold: float = Field(description="Lowest score that was returned.")
    image_size: ImageSize
    num_instances: int
    instances: list[InstanceResponse]
    image: str | None = Field(
        description="The picture with its objects drawn in, JPEG in base64."
        " Null unless `include` names image."
    )
    processing_time: float = Field(description="Seconds from admission to the answer.")
    timings: TimingsResponse


class ServiceInfo(BaseModel):
    """What this address is."""

    name: str
    version: str
    status: str = Field(description="`alive`: KServe's client looks for it here.")
    environment: str
    documentation: str
    endpoints: dict[str, str]


class Failure(BaseModel):
    """A version that should serve and could not be brought to it; the one before goes on."""

    version: str
    reason: str
    since: str
    next_try: str | None


class ModelFailure(Failure):
    """The same, with the model's name."""

    model: str


class Health(BaseModel):
    """A summary for people and dashboards."""

    status: str = Field(description="healthy, degraded, starting, failed or draining.")
    version: str
    service: str
    reason: str | None = Field(description="Why it is not healthy.")
    services: dict[str, str]
    models: dict[str, bool] = Field(description="Whether each model answers.")
    workers: dict[str, int] = Field(description="Processes that do jobs, by queue.")
    failures: list[ModelFailure]


class Alive(BaseModel):
    """The process answers."""

    status: str


class Ready(BaseModel):
    """Every model that must serve is warm."""

    status: str
    models: dict[str, str]


class ServedModel(BaseModel):
    """What serves under a name."""

    loaded: bool
    uri: str
    version: str | None
    stage: str | None


class ModelInfoResponse(BaseModel):
    """What a model in memory says about itself, and which others there are."""

    name: str
    version: str
    family: str
    task: str
    device: str
    memory_bytes: int
    details: dict[str, Any]
    models: dict[str, ServedModel]
    mlflow_tracking_uri: str | None = Field(description="Without credentials.")


class Classes(BaseModel):
    """The labels that a model gives."""

    classes: list[str]
    model: str


class VersionInMemory(BaseModel):
    """A version in memory, or on its way there."""

    version: str
    stage: str
    state: str
    memory_bytes: int
    device: str
    in_flight: int
    last_used: str | None


class ModelEntry(BaseModel):
    """A model: who holds which stage, and what of it is in memory."""

    name: str
    latest_version: str | None
    latest_stage: str | None = Field(examples=["Production"])
    production_version: str | None
    staging_version: str | None
    previous_version: str | None = Field(description="Held production before.")
    family: str | None
    task: str | None
    state: str
    serving_version: str | None = Field(
        description="What answers now: behind production while that loads, or if it failed."
    )
    memory_bytes: int
    placement: str | None
    failure: Failure | None
    versions_in_memory: list[VersionInMemory]


class ModelList(BaseModel):
    """Every model that is registered or in memory."""

    models: list[ModelEntry]
    total_count: int
    stale: bool = Field(description="MLflow does not answer; this is what it said last.")


class VersionEntry(BaseModel):
    """A registered version."""

    version: str
    stage: str
    run_id: str | None
    created: str
    tags: dict[str, str]


class ModelDetails(ModelEntry):
    """A model with its versions and what it takes."""

    versions: list[VersionEntry]
    signature: dict[str, Any] | None
    example: Any = Field(description="A body that the model answers.")
    input: str | None = Field(description="What `POST /models/{name}/predict` takes.")
    quality: list[VersionQuality] = Field(description="Of the versions that got labels.")
    stale: bool


class TransitionRequest(BaseModel):
    """Move a version to a stage."""

    model_config = ConfigDict(protected_namespaces=(), strict=True)

    model_name: Annotated[str, Field(min_length=1, max_length=250)]
    version: (
        Annotated[str, Field(pattern=r"^[0-9]{1,18}$")] | Annotated[int, Field(ge=1, lt=10**18)]
    )
    stage: Annotated[
        str,
        Field(
            max_length=32,
            description="none (or development), staging, production or archived, in any case.",
        ),
    ]


class TransitionResponse(BaseModel):
    """It was moved."""

    model_config = ConfigDict(protected_namespaces=())

    success: bool
    model_name: str
    version: str
    stage: str
    previous_version: str | None = Field(description="Held the stage until now.")
    message: str


class Accepted(BaseModel):
    """It was taken note of."""

    accepted: bool


class ExperimentList(BaseModel):
    """MLflow's experiments: `experiment_id`, `name`, `total_runs`, `best_run`, `complete`."""

    experiments: list[dict[str, Any]]
    total_count: int


class RunList(BaseModel):
    """MLflow's runs, the newest first."""

    runs: list[dict[str, Any]]
    total_count: int
