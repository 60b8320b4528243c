"""The JSON that the gateway answers with, as it stands in the OpenAPI document."""

from typing import Any

from pydantic import BaseModel, Field


class ErrorDetail(BaseModel):
    """What was wrong."""

    code: str = Field(description="Stable name of the kind of error.", examples=["invalid_input"])
    message: str = Field(description="What was wrong, in one sentence.")
    where: str | None = Field(description="The field, parameter or header concerned.")
    expected: str | None = Field(description="What would have been accepted.")
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


class ProcessImageResponse(BaseModel):
    """Every object found in a picture, by descending score."""

    success: bool
    prediction_id: str = Field(description="Also in the header X-Prediction-ID.")
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
    environment: str
    documentation: str
    endpoints: dict[str, str]


class Health(BaseModel):
    """A summary for people and dashboards."""

    status: str = Field(description="healthy, starting, failed or draining.")
    version: str
    services: dict[str, str]
    models: dict[str, bool] = Field(description="Whether each model is in memory and warm.")


class Alive(BaseModel):
    """The process answers."""

    status: str


class Ready(BaseModel):
    """Every model that must serve is warm."""

    status: str
    models: dict[str, str]


class ModelInfoResponse(BaseModel):
    """What a model in memory says about itself."""

    name: str
    version: str
    family: str
    task: str
    device: str
    memory_bytes: int
    details: dict[str, Any]
