"""One model by name: the versions of it that are in memory, and the one that should serve."""

from dataclasses import dataclass
from urllib.parse import quote

from services.core.errors import (
    ModelUnavailableError,
    NotFoundError,
    RegistryUnavailableError,
    SlipwayError,
)
from services.engine.loaded import Loaded
from services.engine.status import (
    IN_PROCESS,
    WORKERS,
    FailureStatus,
    ModelStatus,
    State,
    VersionStatus,
)
from services.engine.unloaded import Unloaded
from services.families.base import Artifact
from services.registry.catalogue import Identity, RegisteredModel, Stage, VersionRef

# The source of versions that come from no registry.
BUILTIN = "builtin"

_FIRST_RETRY = 30.0
_LONGEST_RETRY = 600.0


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a version is not in memory; times in seconds since 1970, `next_try` None for never."""

    ref: VersionRef
    reason: str
    since: float
    next_try: float | None
    attempts: int = 1
    # Not the exception itself: its traceback would keep the model in memory.
    kind: type[BaseException] = ModelUnavailableError

    def error(self) -> SlipwayError:
        """Return what a request for this very version is told."""
        if issubclass(self.kind, NotFoundError | RegistryUnavailableError):
            return self.kind(self.reason, where="version")
        return ModelUnavailableError(
            f"Version {self.ref.version} of {self.ref.name} cannot be loaded: {self.reason}"
        )


class Host:
    """Holds the versions of one model. Changed under the fleet's lock only, read by any thread.

    Args:
        elsewhere: other processes predict with it; nothing of it comes into this one's memory.
    """

    def __init__(
        self,
        name: str,
        family: str | None = None,
        task: str | None = None,
        *,
        elsewhere: bool = False,
    ) -> None:
        self.name = name
        self.elsewhere = elsewhere
        self.family = family
        self.task = task
        self.builtin: Artifact | None = None
        self.registered: RegisteredModel | None = None
        self.wanted: VersionRef | None = None
        self.serving: Loaded | None = None
        self.previous: Loaded | None = None
        self.versions: dict[Identity, Loaded] = {}
        self.failures: dict[Identity, Failure] = {}
        self.loading: tuple[VersionRef, State] | None = None
        # Put out of memory to make room; the next request brings it back.
        self.evicted = False
        self.unloaded = Unloaded()
        # What versions took when they were here before.
        self.known_bytes: dict[Identity, int] = {}

    @property
    def failure(self) -> Failure | None:
        """Why the wanted version does not serve, if it failed."""
        wanted = self.wanted
        if wanted is None or wanted.identity in self.unloaded:
            return None
        return self.failures.get(wanted.identity)

    @property
    def state(self) -> State:
        """Where the model is, for those who do not name a version."""
        # Looked at once each: whoever does not hold the lock may see them change.
        wanted, loading = self.wanted, self.loading
        if self.serving is not None or (self.elsewhere and wanted is not None):
            return State.READY
        if self.unloaded.whole or (wanted is not None and wanted.identity in self.unloaded):
            return State.UNLOADED
        if self.evicted:
            return State.EVICTED
        if wanted is None:
            return State.IDLE
        if loading is not None and loading[0].identity == wanted.identity:
            return loading[1]
        return State.STARTING if self.failure is None else State.FAILED

    @property
    def answers(self) -> str | None:
        """Number of the version that answers those who name none, here or elsewhere."""
        serving, wanted = self.serving, self.wanted
        if serving is not None:
            return serving.ref.version
        return wanted.version if self.elsewhere and wanted is not None else None

    @property
    def lacks(self) -> bool:
        """Whether a version should serve here, and none does."""
        return self.wanted is not None and self.serving is None and not self.elsewhere

    def due(self, now: float) -> bool:
        """Whether the wanted version is to be loaded now."""
        if self.wanted is None or self.evicted or self.wanted.identity in self.unloaded:
            return False
        if self.elsewhere:
            return False
        if self.serving is not None and self.serving.ref.identity == self.wanted.identity:
            return False
        failure = self.failure
        return failure is None or (failure.next_try is not None and failure.next_try <= now)

    def held(self, version: str) -> Loaded | None:
        """Return the version of that number, if it is in memory; of two, the newer one."""
        found = [one for one in list(self.versions.values()) if one.ref.version == version]
        return max(found, key=lambda one: one.ref.created, default=None)

    def known(self, version: str | None, stage: Stage | None) -> VersionRef | None:
        """Return a version that the last look at the registry showed, without asking again."""
        if self.wanted is not None and version == self.wanted.version:
            return self.wanted
        model = self.registered
        if model is None:
            return None
        if version is None:
            return model.staging if stage is Stage.STAGING else None
        shown = (model.production, model.staging, model.previous, model.latest)
        return next((ref for ref in shown if ref is not None and ref.version == version), None)

    def stage_of(self, ref: VersionRef) -> Stage:
        """Return a version's stage, by the latest look at the registry."""
        model = self.registered
        if model is not None:
            for shown in (model.production, model.staging, model.previous, model.latest):
                if shown is not None and shown.identity == ref.identity:
                    return shown.stage
        # It held one of these when it was found, and somebody else holds it now.
        left = ref.stage in (Stage.PRODUCTION, Stage.STAGING)
        return Stage.ARCHIVED if left else ref.stage

    def failed(self, ref: VersionRef, error: BaseException, now: float) -> Failure:
        """Remember why a version could not be loaded, and when to try again."""
        before = self.failures.get(ref.identity)
        attempts = 1 if before is None else before.attempts + 1
        pause = min(_LONGEST_RETRY, _FIRST_RETRY * 2 ** min(attempts - 1, 10))
        since = now if before is None else before.since
        failure = Failure(ref, reason_of(error), since, now + pause, attempts, type(error))
        self.failures[ref.identity] = failure
        return failure

    def unavailable(self) -> ModelUnavailableError:
        """Return the error for a request that names no version while none serves."""
        if self.state is State.FAILED and self.failure is not None:
            return ModelUnavailableError(
                f"The model {self.name} failed to load: {self.failure.reason}"
            )
        if self.state is State.UNLOADED:
            return self.put_out()
        if self.state is State.IDLE:
            return ModelUnavailableError(
                f"No version of {self.name} is in production.",
                where="model",
                expected=f"a promotion (slipway models promote {self.name} VERSION, or"
                " POST /models/transition), or a request that names a version",
            )
        return ModelUnavailableError(f"The model {self.name} is {self.state}.", retry_after=2)

    def put_out(self, ref: VersionRef | None = None) -> ModelUnavailableError:
        """Return the error for a request for what somebody unloaded."""
        one = ref is not None and not self.unloaded.whole
        what = f"Version {ref.version} of {self.name}" if ref and one else f"The model {self.name}"
        query = f"?version={ref.version}" if ref and one else ""
        return ModelUnavailableError(
            f"{what} was unloaded by request.",
            where="version" if one else "model",
            expected=f"POST /v2/repository/models/{quote(self.name)}/load{query} first, or the"
            " promotion of another version",
        )

    def status(self) -> ModelStatus:
        """Return what is to be said about the model now."""
        failure = self.failure
        versions = [self._version(one) for one in self.versions.values()]
        if self.loading is not None and self.loading[0].identity not in self.versions:
            ref, state = self.loading
            stage = self.stage_of(ref)
            versions.append(VersionStatus(ref.version, stage, state, 0, "", False, 0.0, 0))
        return ModelStatus(
            name=self.name,
            family=self.family,
            task=self.task,
            state=self.state,
            serving=self.answers,
            wanted=None if self.wanted is None else self.wanted.version,
            versions=tuple(versions),
            failure=None
            if failure is None
            else FailureStatus(
                failure.ref.version, failure.reason, failure.since, failure.next_try
            ),
            placement=WORKERS if self.elsewhere else IN_PROCESS,
        )

    def _version(self, one: Loaded) -> VersionStatus:
        return VersionStatus(
            version=one.ref.version,
            stage=self.stage_of(one.ref),
            state=State.READY,
            memory_bytes=one.memory_bytes,
            device=one.model.info.device,
            light=one.is_light,
            last_used=one.last_used,
            in_flight=one.in_flight,
        )


def builtin_ref(artifact: Artifact) -> VersionRef:
    """Return the version that comes with Slipway; it was never created in a registry."""
    return VersionRef(artifact.name, artifact.version, source=BUILTIN, created=0)


def reason_of(error: BaseException) -> str:
    """Return why something failed, without giving away what a foreign exception carries."""
    if not isinstance(error, SlipwayError):
        return f"Loading failed: {type(error).__name__}; the log says more."
    hints = (error.where, error.expected and f"expected {error.expected}")
    hint = "; ".join(text for text in hints if text)
    return f"{error.message} ({hint})" if hint else error.message
