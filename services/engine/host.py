"""One model's life: loading, warming, ready, or failed with a reason."""

from dataclasses import dataclass
from enum import StrEnum

from services.core.errors import ModelUnavailableError, SlipwayError
from services.core.logging import get_logger
from services.core.settings import Settings
from services.engine.lane import Lane
from services.families.base import Family, Model

_log = get_logger(__name__)


class State(StrEnum):
    """Where a model is in its life."""

    STARTING = "starting"
    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    FAILED = "failed"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory and the lane of its device."""

    model: Model
    lane: Lane


class ModelHost:
    """Holds the model of one family. Loaded by one thread, read by any."""

    def __init__(self, family: Family) -> None:
        self.name = family.name
        self.task = family.task
        self.state = State.STARTING
        self.reason: str | None = None
        self._family = family
        self._loaded: Loaded | None = None

    def load(self, settings: Settings) -> Model | None:
        """Load the model; on failure remember why and return None."""
        self.state = State.LOADING
        _log.info("model loading", model=self.name)
        try:
            return self._family.load(settings)
        except Exception as error:
            self.fail(error)
            return None

    def warming(self) -> None:
        """The model is in memory and runs for the first time."""
        self.state = State.WARMING

    def ready(self, loaded: Loaded) -> None:
        """The model may be asked from now on."""
        self._loaded = loaded
        self.state = State.READY
        info = loaded.model.info
        _log.info("model ready", model=info.name, version=info.version, device=info.device)

    def fail(self, error: BaseException) -> None:
        """The model cannot serve; say why without giving away what an exception carries."""
        self.state = State.FAILED
        if isinstance(error, SlipwayError):
            hints = (error.where, error.expected and f"expected {error.expected}")
            hint = "; ".join(text for text in hints if text)
            self.reason = f"{error.message} ({hint})" if hint else error.message
        else:
            self.reason = f"Loading failed: {type(error).__name__}; the log says more."
        _log.error("model failed", model=self.name, reason=self.reason, exc_info=error)

    def use(self) -> Loaded:
        """Return the model to predict with.

        Raises:
            ModelUnavailableError: it is not ready, or failed.
        """
        if self._loaded is not None and self.state is State.READY:
            return self._loaded
        if self.state is State.FAILED:
            raise ModelUnavailableError(f"The model {self.name} failed to load: {self.reason}")
        raise ModelUnavailableError(f"The model {self.name} is {self.state}.", retry_after=2)

    def model(self) -> Model | None:
        """Return the model if it is in memory and ready."""
        return self._loaded.model if self._loaded and self.state is State.READY else None

    def close(self) -> None:
        """Give the model's memory back."""
        loaded, self._loaded, self.state = self._loaded, None, State.CLOSED
        if loaded is not None:
            loaded.model.close()
