"""One look at the registry: every model with its stages, by as few requests as there are pages."""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from services.core.errors import NotFoundError
from services.registry.catalogue import RegisteredModel, Stage, VersionRef
from services.registry.client import mlflow_errors
from services.registry.stages import HELD, PREVIOUS, Holders, Signals, before, resolve, tag_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

_PAGE = 500
_PROMPT = "mlflow.prompt.is_prompt"
_READY = "READY"
# Of a version's number; MLflow keeps 32 bits.
_DIGITS = 9


@dataclass(frozen=True, slots=True)
class State:
    """A registered model as MLflow tells it.

    Attributes:
        created, updated: milliseconds since 1970; MLflow does not count aliases as updates.
        versions: by number, those that came along: the newest of each MLflow stage.
    """

    name: str
    created: int
    updated: int
    description: str
    aliases: Mapping[str, str]
    signals: Mapping[Stage, Signals]
    versions: Mapping[str, Any] = field(default_factory=dict)

    @property
    def holders(self) -> Holders:
        """Who holds what."""
        return resolve(self.signals[Stage.PRODUCTION], self.signals[Stage.STAGING])

    @property
    def settled(self) -> bool:
        """Whether every place in MLflow says the same."""
        holders = self.holders
        return all(
            signals.settled and signals.holder == holders.of(stage)
            for stage, signals in self.signals.items()
        )


def states(client: "MlflowClient") -> Iterator[State]:
    """Return every registered model.

    Raises:
        RegistryUnavailableError: MLflow does not answer.
    """
    token = None
    while True:
        with mlflow_errors():
            page = client.search_registered_models(max_results=_PAGE, page_token=token)
        for found in page:
            if str(found.tags.get(_PROMPT, "")).lower() != "true":
                yield state_of(found)
        token = page.token
        if not token:
            return


def state(client: "MlflowClient", name: str) -> State:
    """Return one registered model.

    Raises:
        NotFoundError: there is none of that name.
        RegistryUnavailableError: MLflow does not answer.
    """
    with mlflow_errors("The model", where="name"):
        return state_of(client.get_registered_model(name))


def state_of(found: Any) -> State:
    """Return what MLflow's answer says."""
    versions = {str(version.version): version for version in found.latest_versions}
    aliases = {alias: str(version) for alias, version in found.aliases.items()}
    signals = {}
    for stage in HELD:
        legacy = [n for n, v in versions.items() if v.current_stage == stage.title]
        signals[stage] = Signals(
            alias=aliases.get(stage.value),
            legacy=legacy[0] if legacy else None,
            known=found.tags.get(tag_of(stage)) or None,
        )
    return State(
        name=found.name,
        created=int(found.creation_timestamp or 0),
        updated=int(found.last_updated_timestamp or 0),
        description=found.description or "",
        aliases=aliases,
        signals=signals,
        versions=versions,
    )


def ref_of(found: Any, holders: Holders) -> VersionRef:
    """Return a version as the catalogue has it."""
    number = str(found.version)
    stage = Stage.ARCHIVED if found.current_stage == Stage.ARCHIVED.title else Stage.NONE
    for held in HELD:
        if holders.of(held) == number:
            stage = held
    return VersionRef(
        name=found.name,
        version=number,
        source=found.source or "",
        created=int(found.creation_timestamp or 0),
        stage=stage,
        run_id=found.run_id or None,
        tags=dict(found.tags),
    )


def numbered(client: "MlflowClient", found: State, version: str) -> Any:
    """Return MLflow's version of a number.

    Raises:
        NotFoundError: there is none.
        RegistryUnavailableError: MLflow does not answer.
    """
    if not version.isascii() or not version.isdecimal() or len(version) > _DIGITS:
        raise NotFoundError(
            "There is no such version.", where="version", expected="the version's number"
        )
    known = found.versions.get(str(int(version)))
    if known is not None:
        return known
    with mlflow_errors("The version", where="version"):
        return client.get_model_version(found.name, version)


def former(found: State) -> str | None:
    """Return who held production before whoever does now.

    Production may have changed just now: then the alias `previous` does not say so yet.
    """
    changed = None if found.settled else before(found.signals[Stage.PRODUCTION], found.holders)
    return changed or found.aliases.get(PREVIOUS)


def holder(model: RegisteredModel, stage: Stage) -> VersionRef:
    """Return who holds production or staging.

    Raises:
        NotFoundError: nobody does.
    """
    refs = {Stage.PRODUCTION: model.production, Stage.STAGING: model.staging}
    ref = refs.get(stage)
    if ref is None:
        raise NotFoundError(
            "No version of the model is in this stage.",
            where="stage",
            expected="production or staging, held by a version",
        )
    return ref


class Reader:
    """Turns states into models; asks for a version by itself only when it did not come along."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int, str], tuple[int, Any]] = {}
        self._lock = threading.Lock()

    def model(self, client: "MlflowClient", found: State) -> RegisteredModel:
        """Return the model. A holder that is not READY does not count: the one before it does.

        Raises:
            RegistryUnavailableError: MLflow does not answer.
        """
        holders = self.serving(client, found)

        def ref(number: str | None) -> VersionRef | None:
            version = self.version(client, found, number)
            return None if version is None else ref_of(version, holders)

        newest = max(found.versions, key=int, default=None)
        previous = former(found)
        return RegisteredModel(
            name=found.name,
            production=ref(holders.production),
            previous=ref(None if previous == holders.production else previous),
            staging=ref(holders.staging),
            latest=ref(newest),
            aliases=dict(found.aliases),
            description=found.description,
        )

    def serving(self, client: "MlflowClient", found: State) -> Holders:
        """Return who holds what, among versions that are complete."""
        wanted = found.holders
        chosen: dict[Stage, str | None] = {}
        for stage in HELD:
            number, known = wanted.of(stage), found.signals[stage].known
            if number is not None and not self._ready(client, found, number):
                number = known if self._ready(client, found, known) else None
            chosen[stage] = number
        production = chosen[Stage.PRODUCTION]
        staging = chosen[Stage.STAGING]
        return Holders(production, None if staging == production else staging)

    def version(self, client: "MlflowClient", found: State, number: str | None) -> Any:
        """Return MLflow's version, or None if it is gone or not complete."""
        if number is None:
            return None
        version = found.versions.get(number) or self._asked(client, found, number)
        return version if version is not None and version.status == _READY else None

    def forget(self, names: set[str]) -> None:
        """Keep only what belongs to these models."""
        with self._lock:
            self._kept = {key: kept for key, kept in self._kept.items() if key[0] in names}

    def _ready(self, client: "MlflowClient", found: State, number: str | None) -> bool:
        return self.version(client, found, number) is not None

    def _asked(self, client: "MlflowClient", found: State, number: str) -> Any:
        key = (found.name, found.created, number)
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None and kept[0] == found.updated:
            return kept[1]
        try:
            with mlflow_errors("The version", where="version"):
                version = client.get_model_version(found.name, number)
        except NotFoundError:
            version = None
        if version is None or version.status == _READY:
            with self._lock:
                self._kept[key] = (found.updated, version)
        return version
