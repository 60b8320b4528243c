"""The JSON of `/predictions`: predictions on record, and what people say about them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.gateway.schemas_asynchronous import Position, Urls

_UUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
# What no database takes in a text.
_WITHOUT_NUL = r"^[^\x00]*$"

Uncounted = Literal["no_answer", "no_output", "no_measure"]
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
    """What was said just now, and what it means for the model's live quality."""

    feedback: list[FeedbackEntry]
    correct: bool | None = Field(
        default=None,
        description="Whether all of the answer was as `expected`. Null where there is no yes or no"
        " to that: masks, numbers, or nothing that was judged.",
    )
    uncounted: Uncounted | None = Field(
        default=None,
        description="Why what was `expected` does not count towards the quality of the version: the"
        " prediction failed (no_answer), its answer is not on record any more (no_output), or the"
        " model's family has no measure for it (no_measure). Null where it counts.",
    )


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
        default=None,
        description="What would have been right, at most 64 KiB of JSON: the class or the number,"
        " a list of them for several rows, or the objects in the picture, each with a mask,"
        " polygons or a box. Said again, the newest counts. With a `name` of its own it is any JSON"
        " value, and is kept but not judged.",
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


class FeedbackItem(FeedbackRequest):
    """The same, of one of many predictions."""

    prediction_id: Annotated[str, Field(pattern=_UUID)] = Field(
        description="What `X-Prediction-ID` of the answer says."
    )


class FeedbackError(BaseModel):
    """Why an item is not kept."""

    code: str
    message: str
    where: str | None
    expected: str | None
    received: str | None


class FeedbackResult(BaseModel):
    """What became of one item."""

    index: int = Field(description="Its place in the request, from 0.")
    prediction_id: str | None
    status: int = Field(
        description="As if it had come alone: 201 kept; 200 it was there before, under its id;"
        " 404, 409, 413, 422, 503: see `error`."
    )
    ids: list[str] = Field(default=[], description="Of the entries that were kept.")
    correct: bool | None = Field(default=None, description="See `FeedbackList`.")
    uncounted: Uncounted | None = Field(default=None, description="See `FeedbackList`.")
    error: FeedbackError | None = None


class FeedbackResults(BaseModel):
    """What became of each item, in their order."""

    results: list[FeedbackResult]
    kept: int = Field(description="Items that were kept now.")
    repeated: int = Field(description="Items that were there before.")
    refused: int = Field(description="Items with an error. Send those of status 503 again.")
