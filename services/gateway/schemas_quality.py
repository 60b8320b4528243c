"""The JSON of live quality: in `GET /metrics/summary`, and in `GET /models/{name}`."""

from pydantic import BaseModel, Field


class VersionQuality(BaseModel):
    """What people's right answers say of one version."""

    version: str
    samples: int = Field(
        description="Judged predictions in the window: the newest QUALITY_SAMPLES of the last"
        " QUALITY_DAYS days."
    )
    metrics: dict[str, float] = Field(
        description="accuracy and f1; ap, ap50, box_ap, box_ap50; mae, rmse and r2. Empty without"
        " samples.",
        examples=[{"accuracy": 0.94, "f1": 0.93}],
    )
    reference: dict[str, float] = Field(
        description="The same on held-out data, as logged by the run that made the version."
    )


class QualitySummary(VersionQuality):
    """The same, with how much was said."""

    model: str
    feedback: dict[str, int] = Field(description="By kind: feedback, expectation.")
    uncounted: dict[str, int] = Field(
        description="Right answers that do not count, by reason: no_answer, no_output, no_measure."
    )
