"""Domain errors: what was wrong, where, and what was expected, without any HTTP in them.

`gateway/errors.py` alone maps these classes to status codes; the command line maps them to exit
codes. A message never carries data of the caller, a path of the server or a traceback.
"""

from typing import ClassVar


class SlipwayError(Exception):
    """Base of every error that Slipway raises on purpose.

    The first line of each class, and its `remedy`, stand in `docs/errors.md`.

    Attributes:
        code: stable machine-readable name of the kind of error.
        remedy: what the caller may do about it.
        retry: whether the same request may succeed later.
        message: what was wrong, in one sentence.
        where: the field, parameter or setting concerned (`file`, `threshold`, `MODEL_PATH`).
        expected: what would have been accepted.
        received: what came instead, as type and shape; never the value itself.
        retry_after: seconds after which trying again makes sense, if waiting helps.
        prediction_id: the prediction that ended with it, where that is on record.
    """

    code: ClassVar[str] = "internal_error"
    remedy: ClassVar[str] = "Report it with the request id; the log has the cause under that id."
    retry: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        expected: str | None = None,
        received: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.expected = expected
        self.received = received
        self.retry_after = retry_after
        self.prediction_id: str | None = None


class InvalidInputError(SlipwayError):
    """The caller sent something that cannot be used."""

    code = "invalid_input"
    remedy = (
        "Compare `where`, `expected` and `received`, and correct that part of the request. "
        "`help` leads to what the model takes."
    )


class UnsupportedMediaError(InvalidInputError):
    """The bytes are of a kind that is not accepted here, whatever they were called."""

    code = "unsupported_media_type"
    remedy = "Send one of the kinds that `expected` names, under its own Content-Type."


class PayloadTooLargeError(InvalidInputError):
    """More bytes, pixels or items than the configured limit."""

    code = "payload_too_large"
    remedy = (
        "Send less at once: `expected` names the limit (MAX_FILE_SIZE, MAX_ROWS, "
        "MAX_IMAGE_PIXELS, MAX_IMAGE_SIDE)."
    )


class NotFoundError(SlipwayError):
    """The thing named by the caller does not exist."""

    code = "not_found"
    remedy = "Check the name or the version; `help` leads to those that there are."


class UnauthorizedError(SlipwayError):
    """The caller has not shown who it is, or its signature does not fit."""

    code = "unauthorized"
    remedy = "Sign the request with the secret that both sides know (MLFLOW_WEBHOOK_SECRET)."


class OverloadedError(SlipwayError):
    """The waiting line is full; `retry_after` says when to come back."""

    code = "overloaded"
    remedy = (
        "Wait for the seconds of `Retry-After`, then send the same request again; add instances "
        "if it lasts."
    )
    retry = True


class DeadlineExceededError(SlipwayError):
    """The answer was not ready within the request's deadline."""

    code = "deadline_exceeded"
    remedy = "Send fewer requests at once or a smaller input, or raise REQUEST_TIMEOUT."
    retry = True


class ClientGoneError(SlipwayError):
    """The caller hung up, so the work was dropped before it started."""

    code = "client_gone"
    remedy = "Nothing: nobody reads this answer. It stands in the log and in the metrics."
    retry = True


class PredictionFailedError(SlipwayError):
    """The model broke on an input that it accepted; the cause is in the log, not in here."""

    code = "prediction_failed"
    remedy = "Look in the log under the request id; the same input will most likely fail again."


class TrainingFailedError(PredictionFailedError):
    """A training that somebody waited for gave no model."""

    code = "training_failed"
    remedy = "`GET /train/status/{job_id}` says why, and its run in MLflow how far it got."


class ModelUnavailableError(SlipwayError):
    """The model is not loaded, still loading, or failed to load."""

    code = "model_unavailable"
    remedy = (
        "Wait for the seconds of `Retry-After`; if it lasts, `GET /models/{name}` says why the "
        "model does not serve."
    )
    retry = True


class RegistryUnavailableError(ModelUnavailableError):
    """MLflow does not answer, so nothing new can be learned from it or changed in it."""

    code = "registry_unavailable"
    remedy = (
        "Wait for the seconds of `Retry-After`; if it lasts, look at MLflow. What is in memory "
        "goes on serving."
    )


class JobsUnavailableError(ModelUnavailableError):
    """No job can be taken on now: there is no queue here, or its Redis has been away for long."""

    code = "jobs_unavailable"
    remedy = (
        "Wait for the seconds of `Retry-After`; if it lasts, look at the Redis of REDIS_URL "
        "(JOB_MAX_UNPUBLISHED)."
    )


class LedgerFullError(SlipwayError):
    """Records cannot be written down now, so nothing is predicted that would go unrecorded."""

    code = "ledger_full"
    remedy = (
        "Wait for the seconds of `Retry-After`. The operator looks at `slipway ledger status`: "
        "MLflow has been away for long, or the disk is full."
    )
    retry = True


class LedgerUnavailableError(SlipwayError):
    """The database of predictions and feedback does not answer; predictions go on."""

    code = "ledger_unavailable"
    remedy = (
        "Wait for the seconds of `Retry-After`; if it lasts, look at the database of "
        "LEDGER_DATABASE_URL."
    )
    retry = True


class ConflictError(SlipwayError):
    """What the caller asks for contradicts what is there."""

    code = "conflict"
    remedy = "Look at the present state, then decide anew."


class ConfigurationError(SlipwayError):
    """A setting is missing, contradictory or names something that is not there."""

    code = "configuration_error"


class CheckpointError(ConfigurationError):
    """A weights file is unreadable, unsafe, or does not fit the network."""

    code = "checkpoint_error"


class UntrustedModelError(CheckpointError):
    """Loading the model could run code of its author, and the operator does not trust it."""

    code = "untrusted_model"
