"""How a failed request is told: Slipway's own shape, and those that other servers' clients know."""

from collections.abc import Callable
from dataclasses import dataclass

import orjson


@dataclass(frozen=True, slots=True)
class Told:
    """What a caller is told of an error; see `SlipwayError` for the words.

    `help` is the path of what says more: of the model, or of the list of models.
    """

    status: int
    code: str
    message: str
    where: str | None = None
    expected: str | None = None
    received: str | None = None
    help: str | None = None
    request_id: str | None = None

    @property
    def sentence(self) -> str:
        """All of it in one line, for clients that show a text and nothing else."""
        hints = (
            ("where", self.where),
            ("expected", self.expected),
            ("received", self.received),
            ("help", self.help),
            ("request id", self.request_id),
        )
        told = [f"{name}: {text}" for name, text in hints if text]
        return f"{self.message} ({'; '.join(told)})" if told else self.message


def own(told: Told) -> bytes:
    """Return Slipway's own JSON: `{"error": {code, message, where, expected, …}}`."""
    error = {
        "code": told.code,
        "message": told.message,
        "where": told.where,
        "expected": told.expected,
        "received": told.received,
        "help": told.help,
        "request_id": told.request_id,
    }
    return orjson.dumps({"error": error})


def inference(told: Told) -> bytes:
    """Return what clients of the Open Inference Protocol and of KServe V1 decode."""
    return orjson.dumps({"error": told.sentence})


# Of `mlflow.protos.databricks_pb2.ErrorCode`, whose names alone its clients understand.
_MLFLOW_CODES = {
    401: "UNAUTHENTICATED",
    404: "RESOURCE_DOES_NOT_EXIST",
    409: "RESOURCE_CONFLICT",
    429: "REQUEST_LIMIT_EXCEEDED",
    499: "CANCELLED",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_SERVER_ERROR = 500


def mlflow_code(status: int) -> str:
    """Return MLflow's name for an error; BAD_REQUEST is its scoring server's for all bad input."""
    usual = "INTERNAL_ERROR" if status >= _SERVER_ERROR else "BAD_REQUEST"
    return _MLFLOW_CODES.get(status, usual)


def scoring(told: Told) -> bytes:
    """Return what clients of MLflow's scoring server decode."""
    return orjson.dumps({"error_code": mlflow_code(told.status), "message": told.sentence})


def shape_of(path: str) -> Callable[[Told], bytes]:
    """Return the shape that the clients of an address understand."""
    if path == "/v2" or path.startswith(("/v2/", "/v1/")):
        return inference
    if path.endswith("/invocations"):
        return scoring
    return own
