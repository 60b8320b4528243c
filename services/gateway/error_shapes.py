"""How a failed request is told: Slipway's own shape, and those that other servers' clients know."""

from collections.abc import Callable
from dataclasses import dataclass

import orjson


@dataclass(frozen=True, slots=True)
class Told:
    """What a caller is told of an error; see `SlipwayError` for the words."""

    status: int
    code: str
    message: str
    where: str | None = None
    expected: str | None = None
    received: str | None = None
    request_id: str | None = None

    @property
    def sentence(self) -> str:
        """All of it in one line, for clients that show a text and nothing else."""
        hints = (
            ("where", self.where),
            ("expected", self.expected),
            ("received", self.received),
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
        "request_id": told.request_id,
    }
    return orjson.dumps({"error": error})


def inference(told: Told) -> bytes:
    """Return what clients of the Open Inference Protocol and of KServe V1 decode."""
    return orjson.dumps({"error": told.sentence})


_MLFLOW_CODES = {
    401: "UNAUTHENTICATED",
    404: "RESOURCE_DOES_NOT_EXIST",
    429: "REQUEST_LIMIT_EXCEEDED",
    503: "TEMPORARILY_UNAVAILABLE",
}
_SERVER_ERROR = 500


def scoring(told: Told) -> bytes:
    """Return what clients of MLflow's scoring server decode."""
    usual = "INTERNAL_ERROR" if told.status >= _SERVER_ERROR else "BAD_REQUEST"
    code = _MLFLOW_CODES.get(told.status, usual)
    return orjson.dumps({"error_code": code, "message": told.sentence})


def shape_of(path: str) -> Callable[[Told], bytes]:
    """Return the shape that the clients of an address understand."""
    if path == "/v2" or path.startswith(("/v2/", "/v1/")):
        return inference
    if path.endswith("/invocations"):
        return scoring
    return own
