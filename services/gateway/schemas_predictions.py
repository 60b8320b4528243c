"""The JSON of `/predictions`: predictions on record, and what people say about them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.gateway.schemas_asynchronous import Position, Urls

_UUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
# What no database takes in a text.
_WITHOUT_NUL = r"^[^\x00]*$"

Status = Literal["starting", "processing", "succeeded", "failed", "canceled", "expired"]


class PredictionError(BaseModel):
    """Why a prediction failed."""

    code: str
    message: str
    where: str | None
    expected: str | None
    phase: str | None = Field(description="queue, preprocess, inference or postprocess.")


class PredictionMetrics(BaseModel):
    """How long it took, in seconds."""

    predict_time: float | None = Field(
        description="From admission to the end. Null where it was not made."
    )
    phases: dict[str, float] | None = Field(
        description="Of that: queue (all the waiting), preprocess, inference, postprocess."
    )


class SummaryLinks(BaseModel):
    """Where there is more."""

    model_config = ConfigDict(serialize_by_alias=True)

    own: str = Field(alias="self", examples=["/predictions/01937f5c-9f2b-7cc0-8000-6f1e5b9a3d21"])


class PredictionLinks(SummaryLinks):
    """Where there is more; the pages are those of MLflow's user interface."""

    mlflow_trace: str | None = Field(description="Null while MLflow has no trace of it.")
    mlflow_run: str | None = Field(description="The serving run of its model, version and day.")


class PredictionSummary(BaseModel):
    """A prediction, without what went in and came out."""

    id: str
    status: Status
    model: str
    version: str | None = Field(
        description="Null while it is not decided which one in production makes it."
    )
    stage: str | None = Field(description="Of the version, at that time.")
    mode: str = Field(description="How it was asked for: sync, batch, async.")
    caller: str | None = Field(description="Who asked, where that is known.")
    request_id: str | None
    created_at: str = Field(description="In UTC (ISO 8601), as all times.")
    started_at: str | None
    completed_at: str | None
    error: PredictionError | None
    cached: bool = Field(description="An equal request had been answered before.")
    confidence: float | None = Field(description="Mean of the scores in the output.")
    metrics: PredictionMetrics
    links: SummaryLinks
    progress: Any = Field(
        default=None, description="What the worker said last. Only of those made asynchronously."
    )
    cancel_requested: bool = Field(
        default=False, description="It is to end. Only of those made asynchronously."
    )
    urls: Urls | None = Field(default=None, description="Only of those made asynchronously.")


class ListedPrediction(PredictionSummary):
    """The same in a list; `input` and `output` only where `include` names them."""

    input: Any = None
    output: Any = None


class PredictionList(BaseModel):
    """Predictions, the newest first."""

    predictions: list[ListedPrediction]
    next: str | None = Field(
        description="Path of the next page: those that are older. Null on the last one."
    )


class FeedbackEntry(BaseModel):
    """What somebody said about a prediction."""

    id: str
    name: str
    kind: Literal["feedback", "expectation"] = Field(
        description="A judgement, or what would have been right."
    )
    value: Any
    rationale: str | None
    source: str | None
    created_at: str
    state: Literal["pending", "attached", "failed"] = Field(
        description="Whether it is on the prediction's trace in MLflow."
    )


class FeedbackList(BaseModel):
    """What was said just now."""

    feedback: list[FeedbackEntry]


class Prediction(PredictionSummary):
    """Everything about a prediction."""

    input: Any = Field(
        description="Null where it is kept beside the record (`input_ref`), as pictures are, or not"
        " at all (LEDGER_INPUTS)."
    )
    input_digest: str | None = Field(description="`sha256:` and 64 hex digits.")
    input_ref: str | None = Field(description="Name of the file that has it.")
    output: Any
    output_ref: str | None
    logs: str = Field(description="Always empty: what a model prints stands in the log.")
    feedback: list[FeedbackEntry] | None = Field(
        description="In the order of arrival. Null while the database does not answer."
    )
    links: PredictionLinks
    position: Position | None = Field(
        default=None, description="While it waits for its turn (`starting`)."
    )


class FeedbackRequest(BaseModel):
    """A judgement, what would have been right, or both."""

    model_config = ConfigDict(extra="forbid", strict=True)

    value: Any = Field(
        default=None,
        description="The judgement: any JSON value of at most 16 KiB, such as true, 4 or"
        ' "off by one". Needed unless `expected` is given.',
    )
    expected: Any = Field(
        default=None, description="What would have been right: any JSON value of at most 16 KiB."
    )
    name: Annotated[str, Field(min_length=1, max_length=128, pattern=_WITHOUT_NUL)] | None = Field(
        default=None, description="What was judged. Without it `feedback`, or `expected`."
    )
    rationale: Annotated[str, Field(max_length=4000, pattern=_WITHOUT_NUL)] | None = Field(
        default=None, description="Why."
    )
    source: Annotated[str, Field(max_length=128, pattern=_WITHOUT_NUL)] | None = Field(
        default=None, description="Who says so."
    )
    id: Annotated[str, Field(pattern=_UUID)] | None = Field(
        default=None,
        description="A UUID of yours: sent again with the same body, nothing is added.",
    )
