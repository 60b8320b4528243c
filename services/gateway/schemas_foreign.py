"""The JSON of KServe V1 and of MLflow's scoring server, as it stands in the OpenAPI document."""

from typing import Any

from pydantic import BaseModel, Field


class TextError(BaseModel):
    """The body of a failed request, as KServe's and Triton's clients decode it."""

    error: str = Field(description="What was wrong, where, what was expected, and the request id.")


class ScoringError(BaseModel):
    """The body of a failed request, as MLflow's clients decode it."""

    error_code: str = Field(description="MLflow's name for it.", examples=["BAD_REQUEST"])
    message: str = Field(
        description="What was wrong, where, what was expected, and the request id."
    )


class V1Models(BaseModel):
    """Every model here that answers, or will."""

    models: list[str]


class V1Ready(BaseModel):
    """A model that answers now; one that does not is a 503."""

    name: str
    ready: bool


class V1Predictions(BaseModel):
    """One prediction for each instance."""

    predictions: Any
    probabilities: Any = Field(
        default=None, description="[instances][classes]; with `?probabilities=true`."
    )
    classes: list[Any] | None = Field(
        default=None, description="What the columns of `probabilities` stand for."
    )


class Scored(BaseModel):
    """What the model's `predict` returned: a table as a list of records."""

    predictions: Any


class EndpointModel(BaseModel):
    """Which model is behind an endpoint."""

    name: str
    provider: str


class Endpoint(BaseModel):
    """A model as MLflow's deployments client lists it."""

    name: str
    endpoint_type: str
    model: EndpointModel
    endpoint_url: str = Field(description="Where to send rows; relative to this server.")
    limit: None = None


class Endpoints(BaseModel):
    """All of them on one page."""

    endpoints: list[Endpoint]
    next_page_token: None = None
