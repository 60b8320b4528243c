"""What the engine says about its models: plain values, taken at one moment."""

from dataclasses import dataclass
from enum import StrEnum

from services.registry.catalogue import Stage

# Where a model is predicted.
IN_PROCESS, WORKERS = "in_process", "workers"


class State(StrEnum):
    """Where a model, or a version of it, is in its life."""

    STARTING = "starting"
    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    FAILED = "failed"
    # Put out of memory to stay within the budget; comes back at the next request.
    EVICTED = "evicted"
    # Somebody unloaded it; comes back when it is loaded again, or another version is promoted.
    UNLOADED = "unloaded"
    # Nobody new is let in; memory is given back once the last request has left.
    UNLOADING = "unloading"
    # Registered, but no version is in production.
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """A version that is in memory, or on its way there.

    Attributes:
        memory_bytes: as measured while it was loaded; 0 while it loads.
        light: predicts in so little time that it runs on the event loop.
        last_used: when it last answered or was loaded, in seconds since 1970.
        in_flight: requests that hold it now.
    """

    version: str
    stage: Stage
    state: State
    memory_bytes: int
    device: str
    light: bool
    last_used: float
    in_flight: int


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A version that is in memory, should be, or could not be brought there.

    Attributes:
        version: empty for a model of which no version is wanted or in memory.
        reason: why it is in this state, for people; empty where that needs no words.
    """

    name: str
    version: str
    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FailureStatus:
    """A version that should serve and could not be brought to it.

    Attributes:
        since: of the first attempt that failed, in seconds since 1970.
        next_try: likewise; None: only a restart helps.
    """

    version: str
    reason: str
    since: float
    next_try: float | None


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """A model by name, and what of it is in memory.

    Attributes:
        state: READY while a version serves, even if a newer one failed (see `failure`).
        serving: version that answers requests which name none.
        wanted: version that should: the one in production.
        failure: of the wanted version.
        placement: where it is predicted: `IN_PROCESS` or by `WORKERS`.
    """

    name: str
    family: str | None
    task: str | None
    state: State
    serving: str | None
    wanted: str | None
    versions: tuple[VersionStatus, ...]
    failure: FailureStatus | None = None
    placement: str = IN_PROCESS

    @property
    def serves(self) -> bool:
        """Whether a request that names no version is answered (an evicted model comes back)."""
        return self.state in (State.READY, State.EVICTED)
