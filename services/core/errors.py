"""Domain errors: what was wrong, where, and what was expected, without any HTTP in them.

`gateway/errors.py` alone maps these classes to status codes; the command line maps them to exit
codes. A message never carries data of the caller, a path of the server or a traceback.
"""

from typing import ClassVar


class SlipwayError(Exception):
    """Base of every error that Slipway raises on purpose.

    Attributes:
        code: stable machine-readable name of the kind of error.
        message: what was wrong, in one sentence.
        where: the field, parameter or setting concerned (`file`, `threshold`, `MODEL_PATH`).
        expected: what would have been accepted.
        received: what came instead, as type and shape; never the value itself.
        retry_after: seconds after which trying again makes sense, if waiting helps.
    """

    code: ClassVar[str] = "internal_error"

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


class InvalidInputError(SlipwayError):
    """The caller sent something that cannot be used."""

    code = "invalid_input"


class UnsupportedMediaError(InvalidInputError):
    """The bytes are of a kind that is not accepted here, whatever they were called."""

    code = "unsupported_media_type"


class PayloadTooLargeError(InvalidInputError):
    """More bytes, pixels or items than the configured limit."""

    code = "payload_too_large"


class NotFoundError(SlipwayError):
    """The thing named by the caller does not exist."""

    code = "not_found"


class UnauthorizedError(SlipwayError):
    """The caller has not shown who it is, or its signature does not fit."""

    code = "unauthorized"


class OverloadedError(SlipwayError):
    """The waiting line is full; `retry_after` says when to come back."""

    code = "overloaded"


class DeadlineExceededError(SlipwayError):
    """The answer was not ready within the request's deadline."""

    code = "deadline_exceeded"


class ClientGoneError(SlipwayError):
    """The caller hung up, so the work was dropped before it started."""

    code = "client_gone"


class PredictionFailedError(SlipwayError):
    """The model broke on an input that it accepted; the cause is in the log, not in here."""

    code = "prediction_failed"


class ModelUnavailableError(SlipwayError):
    """The model is not loaded, still loading, or failed to load."""

    code = "model_unavailable"


class RegistryUnavailableError(ModelUnavailableError):
    """MLflow does not answer, so nothing new can be learned from it or changed in it."""

    code = "registry_unavailable"


class ConflictError(SlipwayError):
    """What the caller asks for contradicts what is there."""

    code = "conflict"


class ConfigurationError(SlipwayError):
    """A setting is missing, contradictory or names something that is not there."""

    code = "configuration_error"


class CheckpointError(ConfigurationError):
    """A weights file is unreadable, unsafe, or does not fit the network."""

    code = "checkpoint_error"


class UntrustedModelError(CheckpointError):
    """Loading the model could run code of its author, and the operator does not trust it."""

    code = "untrusted_model"
