"""The JSON of Triton's extensions, as it stands in the OpenAPI document."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, RootModel


class IndexRow(BaseModel):
    """A version, or a model that has none in memory."""

    name: str
    version: str = Field(description="Empty for a model without a version to serve.")
    state: str = Field(description="READY, LOADING, UNLOADING or UNAVAILABLE.")
    reason: str = Field(description="Why it is in this state, where that needs words.")


class Index(RootModel[list[IndexRow]]):
    """Every version that is in memory, should be, or could not be brought there."""


class Loaded(BaseModel):
    """It is in memory."""

    name: str
    load: bool = True


class PutOut(BaseModel):
    """Nobody new is let in."""

    name: str
    unload: bool = True


class Duration(BaseModel):
    """How many, and how long all of them took together, in nanoseconds."""

    count: int
    ns: int


class InferenceStats(BaseModel):
    """Requests by how they ended, and the phases of those that were answered."""

    success: Duration
    fail: Duration = Field(description="How long these took is not measured.")
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration


class MemoryUsage(BaseModel):
    """Memory of one version, as measured while it was loaded."""

    type: str
    id: int
    byte_size: int


class VersionStats(BaseModel):
    """What was counted of one version since this process began."""

    name: str
    version: str
    last_inference: int = Field(description="Milliseconds since 1970; 0: unknown.")
    inference_count: int = Field(description="Rows that were predicted.")
    execution_count: int = Field(description="Calls of the model; one may hold many rows.")
    inference_stats: InferenceStats
    batch_stats: list[Any] = Field(description="Always empty: see `prediction_batch_size`.")
    memory_usage: list[MemoryUsage]


class Statistics(BaseModel):
    """Statistics by model and version."""

    model_config = ConfigDict(protected_namespaces=())

    model_stats: list[VersionStats]


class TensorConfig(BaseModel):
    """An input or output; `dims` without the dimension of the rows where rows may be batched."""

    name: str
    data_type: str = Field(examples=["TYPE_FP64"])
    dims: list[int]


class ModelConfig(BaseModel):
    """Triton's configuration of a model, as far as it is true here."""

    name: str
    platform: str
    backend: str
    version_policy: dict[str, Any]
    max_batch_size: int = Field(description="Rows of one call; 0: rows are not batched.")
    input: list[TensorConfig]
    output: list[TensorConfig]
    instance_group: list[dict[str, Any]]
    dynamic_batching: dict[str, Any] | None = None
