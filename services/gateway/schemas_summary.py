"""The JSON of `GET /metrics/summary`."""

from pydantic import BaseModel, ConfigDict, Field

from services.gateway.schemas_quality import QualitySummary


class Spread(BaseModel):
    """Seconds; quantiles are estimated from the histogram's buckets, null without observations."""

    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None


class Middle(BaseModel):
    """How many values were observed, and their mean."""

    count: int
    mean: float | None


class Answers(BaseModel):
    """Requests answered since the start."""

    count: int
    client_errors: int = Field(description="Answers of 400 to 499.")
    server_errors: int = Field(description="Answers of 500 and above.")
    seconds: Spread


class RouteSummary(Answers):
    """The same for one route."""

    method: str
    route: str = Field(description="Its template, such as /models/{name}.")


class RequestSummary(Answers):
    """All requests, and by route."""

    active: int = Field(description="Being answered now.")
    routes: list[RouteSummary]


class ModelSummary(BaseModel):
    """Predictions of one version; version `none`: they failed before one was chosen."""

    model: str
    version: str
    count: int
    status: dict[str, int]
    mode: dict[str, int] = Field(description="How they were asked for.")
    phases: dict[str, Spread]
    confidence: Middle
    batch_size: Middle = Field(description="Rows that were predicted together.")


class PredictionSummary(BaseModel):
    """Predictions asked for since the start."""

    count: int
    status: dict[str, int]
    errors: dict[str, int] = Field(description="By the code of the error.")
    errors_by_model: dict[str, dict[str, int]]
    models: list[ModelSummary]


class CacheSummary(BaseModel):
    """Looks into the cache of answers."""

    hit: int
    miss: int
    error: int
    hit_ratio: float | None


class UploadSummary(BaseModel):
    """Files received, by what their bytes are and whether they were accepted."""

    status: dict[str, int]
    type: dict[str, int]
    bytes: Middle


class ModelMemory(BaseModel):
    """A version in memory."""

    model: str
    version: str
    family: str
    task: str
    device: str
    memory_bytes: int


class MemorySummary(BaseModel):
    """What is in memory."""

    model_config = ConfigDict(protected_namespaces=())

    process_bytes: int | None = Field(description="Of all gateway processes.")
    programs: dict[str, int] = Field(description="Bytes by kind of process.")
    models_bytes: int
    models: list[ModelMemory]


class QueueSummary(BaseModel):
    """One queue of jobs."""

    queue: str
    waiting: int
    oldest_seconds: float = Field(description="Age of the oldest job that waits; 0: none does.")
    running: int
    dead_letters: int
    workers: int = Field(description="Workers that are there.")


class ModelRates(BaseModel):
    """What a version does a second."""

    model: str
    version: str
    predictions_per_second: float
    failures_per_second: float = Field(description="Those without an answer among them.")


class RecentRates(BaseModel):
    """What happened since an earlier call of this address, best one of a minute ago."""

    seconds: float = Field(description="How long ago that was.")
    requests_per_second: float
    server_errors_per_second: float
    predictions_per_second: float
    prediction_errors_per_second: float
    jobs_per_second: float = Field(description="Jobs that ended.")
    latency: Spread = Field(description="Of the requests of that time.")
    models: list[ModelRates]


class MetricsSummary(BaseModel):
    """The metrics in a few numbers; `GET /metrics` has all of them."""

    version: str
    timestamp: str = Field(description="In UTC (ISO 8601).")
    started: str | None = Field(description="When the oldest gateway process began.")
    uptime_seconds: float | None
    recent: RecentRates | None = Field(description="Null at the first call.")
    requests: RequestSummary
    predictions: PredictionSummary
    rejected: dict[str, int] = Field(description="Turned away before a model, by reason.")
    cache: CacheSummary
    uploads: UploadSummary
    memory: MemorySummary
    queues: list[QueueSummary] = Field(description="Empty where no jobs are accepted.")
    quality: list[QualitySummary] = Field(description="Of versions that got feedback.")
