"""The JSON of `POST /predict/batch`."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class ItemError(BaseModel):
    """Why an item has no answer."""

    code: str = Field(description="Stable name of the kind of error.", examples=["invalid_input"])
    message: str
    where: str | None = Field(examples=["features[3][17]"])
    expected: str | None
    received: str | None


class ItemResponse(BaseModel):
    """One item's answer, with the model's own fields, or its error."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())

    index: int = Field(ge=0, description="Place in the list that was sent.")
    success: bool
    error: ItemError | None = Field(default=None, description="Only without success.")
    prediction: Any = Field(default=None, description="Of a row.")
    confidence: float | None = Field(default=None, ge=0, le=1)
    probabilities: Any = Field(default=None, description="Of each class.")
    prediction_id: str | None = Field(
        default=None, description="Rows that were predicted together share it."
    )
    model_version: str | None = None


class BatchResponse(BaseModel):
    """One result for each item, in the order in which they were sent."""

    model_config = ConfigDict(protected_namespaces=())

    results: list[ItemResponse]
    count: int
    succeeded: int
    failed: int
    classes: list[Any] | None = Field(
        default=None, description="What `probabilities` are of, where rows have them."
    )
    model_name: str
    model_version: str | None = Field(description="Of the first answer; null if there is none.")
    model_stage: str | None = Field(examples=["Production"])
    timestamp: str = Field(description="When it was answered, in UTC (ISO 8601).")
