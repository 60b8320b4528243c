"""A typical error of each kind: for the OpenAPI document and for `docs/errors.md`."""

from dataclasses import replace

from services.core.errors import (
    ClientGoneError,
    ConflictError,
    DeadlineExceededError,
    InvalidInputError,
    JobsUnavailableError,
    LedgerFullError,
    LedgerUnavailableError,
    ModelUnavailableError,
    NotFoundError,
    OverloadedError,
    PayloadTooLargeError,
    PredictionFailedError,
    RegistryUnavailableError,
    SlipwayError,
    TrainingFailedError,
    UnauthorizedError,
    UnsupportedMediaError,
)
from services.gateway.error_shapes import Told
from services.gateway.errors import INTERNAL, NO_METHOD, MalformedRequestError, UploadTimeoutError
from services.gateway.errors import told_of as _told_of

_MODEL = "/models/ml_classifier"
_REQUEST_ID = "0198f1c2-7a52-7c39-b6a1-5d5a3f0b9c11"

# Each with the path that it leads to.
_ERRORS: tuple[tuple[SlipwayError, str | None], ...] = (
    (
        MalformedRequestError(
            "The body is not valid JSON (line 1, column 14).",
            where="body",
            expected="a JSON object in UTF-8",
            received="37 bytes",
        ),
        _MODEL,
    ),
    (
        UnauthorizedError(
            "The delivery's signature is wrong.",
            where="X-MLflow-Signature",
            expected="a delivery signed with MLFLOW_WEBHOOK_SECRET",
        ),
        None,
    ),
    (NotFoundError("There is no model of that name.", where="model"), "/models"),
    (
        UploadTimeoutError(
            "The body did not arrive in time.", where="body", expected="all of it within 60 seconds"
        ),
        None,
    ),
    (ConflictError("The version is not complete yet.", where="version"), None),
    (
        PayloadTooLargeError(
            "inputs has 20000 rows.",
            where="inputs",
            expected="at most 10000 rows",
            received="20000 rows",
        ),
        _MODEL,
    ),
    (
        UnsupportedMediaError(
            "The file is GIF.",
            where="file",
            expected="a JPEG, PNG or WEBP picture",
            received="GIF, 120 bytes",
        ),
        "/models/custom_cnn",
    ),
    (
        InvalidInputError(
            "inputs[0][3] is text.",
            where="inputs[0][3]",
            expected="a number",
            received="text of 12 characters",
        ),
        _MODEL,
    ),
    (
        OverloadedError(
            "Too many requests are waiting for this model.",
            expected="at most 16 waiting, and a wait below 30 s",
        ),
        _MODEL,
    ),
    (ClientGoneError("The caller hung up before the answer was ready."), _MODEL),
    (PredictionFailedError("The model failed on this input."), _MODEL),
    (ModelUnavailableError("The model ml_classifier is loading."), _MODEL),
    (
        RegistryUnavailableError(
            "MLflow does not answer.", where="MLFLOW_TRACKING_URI", expected="a running server"
        ),
        None,
    ),
    (
        JobsUnavailableError("No jobs are accepted here: there are no workers.", where="REDIS_URL"),
        None,
    ),
    (TrainingFailedError("The training gave no model."), None),
    (LedgerFullError("The prediction cannot be recorded now: no room is left."), _MODEL),
    (
        LedgerUnavailableError(
            "The ledger's database does not answer as it should.", where="LEDGER_DATABASE_URL"
        ),
        None,
    ),
    (
        DeadlineExceededError(
            "The prediction was not ready within 30 seconds.",
            expected="fewer requests at once, a smaller input, or a longer REQUEST_TIMEOUT",
        ),
        _MODEL,
    ),
)

# By code, as a caller is told of them.
EXAMPLES: dict[str, Told] = {
    **{
        error.code: replace(_told_of(error), help=path, request_id=_REQUEST_ID)
        for error, path in _ERRORS
    },
    **{told.code: replace(told, request_id=_REQUEST_ID) for told in (NO_METHOD, INTERNAL)},
}


def of_status(status: int) -> Told | None:
    """Return the example of the most common kind with that status, if there is one."""
    return next((told for told in EXAMPLES.values() if told.status == status), None)
