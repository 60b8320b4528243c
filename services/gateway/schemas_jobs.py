"""The JSON of jobs: batches above all, and every other kind in the list."""

from typing import Any, Literal

from pydantic import BaseModel, Field

JobStatus = Literal["starting", "processing", "succeeded", "failed", "canceled", "expired"]
_ID = "01937f5c-9f2b-7cc0-8000-6f1e5b9a3d21"


class JobUrls(BaseModel):
    """Where a job is asked about, ended, queued again, and watched."""

    get: str = Field(examples=[f"/jobs/{_ID}"])
    cancel: str
    retry: str
    stream: str = Field(description="With `Accept: text/event-stream`.")
    results: str | None = Field(description="Of a batch; else null.")


class AcceptedBatch(BaseModel):
    """A batch that will be done: what is durable when this is answered."""

    id: str = Field(examples=[_ID])
    job_id: str = Field(description="The same.")
    status: JobStatus
    model: str
    version: str | None = Field(
        description="As it was asked for. Null: each item by the version in production then."
    )
    items: int
    created_at: str
    urls: JobUrls


class Counts(BaseModel):
    """How many items a batch has, and what became of those that are done."""

    items: int
    done: int
    succeeded: int
    failed: int


class JobPosition(BaseModel):
    """How far a job is from its turn."""

    ahead: int = Field(description="Jobs of its queue that come before it.")
    seconds: float | None = Field(description="Until its turn, as far as that can be guessed.")


class JobError(BaseModel):
    """Why a job ended without a result."""

    code: str
    message: str
    where: str | None = None
    expected: str | None = None
    phase: str | None = None


class JobSummary(BaseModel):
    """A job, as the list shows it."""

    id: str = Field(examples=[_ID])
    job_id: str = Field(description="The same.")
    status: JobStatus
    task: str = Field(description="predict, predict_batch, train or sweep.")
    queue: str
    model: str = Field(description="Or the family, of training.")
    version: str | None
    stage: str | None
    mode: str
    caller: str | None
    request_id: str | None
    created_at: str
    started_at: str | None
    completed_at: str | None
    expires_at: str | None = Field(description="Nobody begins it from then on.")
    attempts: int = Field(description="Of a batch: since its last finished chunk.")
    cancel_requested: bool
    counts: Counts | None = Field(description="Of a batch; else null.")
    progress: float | None = Field(description="0 to 1, where that is known.")
    rate: float | None = Field(description="Items of a batch in a second.")
    seconds_left: float | None = Field(description="As far as that can be guessed.")
    error: JobError | None
    urls: JobUrls


class JobDocument(JobSummary):
    """Everything about a job."""

    position: JobPosition | None = Field(description="While it waits.")
    details: dict[str, Any] | None = Field(
        description="How far it is, in its own words: of training, the metrics of its last epoch."
    )
    result: dict[str, Any] | None = Field(
        description="Of training: what came of it. Of a batch: its counts; `urls.results` has the"
        " rest. Of a prediction null: see /predictions/{id}."
    )


class JobList(BaseModel):
    """A page of jobs, newest first."""

    jobs: list[JobSummary]
    next: str | None = Field(description="Path of the next page; null on the last one.")
