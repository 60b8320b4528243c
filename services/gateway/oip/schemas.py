"""The protocol's JSON as it stands in the OpenAPI document."""

from typing import Any

from pydantic import BaseModel, Field

from services.gateway.oip.datatypes import DTYPES


class ServerMetadata(BaseModel):
    """Which server this is, and what of the protocol's extensions it offers."""

    name: str
    version: str
    extensions: list[str]


class ServerState(BaseModel):
    """Whether the process answers, and whether its models do."""

    live: bool
    ready: bool


class TensorMetadata(BaseModel):
    """A tensor that a model takes or gives; -1 in its shape is any size."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """What a model takes and gives."""

    name: str
    versions: list[str] = Field(description="Those that are in memory or hold a stage.")
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ModelReady(BaseModel):
    """A model that answers now; one that does not is a 503."""

    name: str
    ready: bool


class OutputTensor(BaseModel):
    """An output; `data` is left out where raw bytes are behind the JSON."""

    name: str
    datatype: str
    shape: list[int]
    data: list[Any] | None = None
    parameters: dict[str, Any] | None = Field(
        default=None,
        description="`labels`: what the last dimension's entries are called, a list as JSON text;"
        " `binary_data_size`: how many of the bytes behind the JSON are this output's.",
    )


class InferAnswer(BaseModel):
    """What a model answered."""

    model_name: str
    model_version: str
    id: str = Field(description="The request's own, or the prediction's.")
    outputs: list[OutputTensor]


_PARAMETERS = {"type": "object"}
_OUTPUT = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string", "minLength": 1}, "parameters": _PARAMETERS},
}
_INPUT = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "datatype": {"enum": list(DTYPES)},
        "data": {
            "type": "array",
            "description": "Row-major, nested or flat. Elements of BYTES are texts.",
        },
        "parameters": _PARAMETERS,
    },
}
REQUEST: dict[str, Any] = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string"},
        "parameters": {
            "type": "object",
            "description": "The model's own, and `timeout` (microseconds), `binary_data_output`.",
        },
        "inputs": {"type": "array", "minItems": 1, "items": _INPUT},
        "outputs": {
            "type": "array",
            "items": _OUTPUT,
            "description": "Which ones; without it, all.",
        },
    },
}
