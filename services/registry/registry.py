"""The registry as the rest of Slipway sees it: who serves, where the files are, who moves what."""

import threading
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from services.core.errors import ConflictError, NotFoundError, RegistryUnavailableError
from services.core.settings import Settings
from services.families.base import Artifact, Family
from services.registry import client as mlflow_client
from services.registry import look, opening, reconcile, remembered
from services.registry.catalogue import RegisteredModel, Snapshot, Stage, VersionRef
from services.registry.client import mlflow_errors
from services.registry.download import download
from services.registry.look import Reader, State, holder, numbered
from services.registry.reconcile import Reconciler
from services.registry.stages import Holders, moved
from services.registry.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient

_log = structlog.stdlib.get_logger(__name__)


class Registry:
    """MLflow's registry and the local copies of what is in it. Safe to use from many threads.

    Making one costs nothing: MLflow is imported, and asked, at first use.
    """

    def __init__(self, settings: Settings, families: Mapping[str, Family]) -> None:
        self._settings = settings
        self._families = families
        home = settings.data_dir
        self._memory = home / "registry" / "snapshot.json"
        self._store = Store(home / "models" / "registry")
        self._reader = Reader()
        self._reconciler = Reconciler(self._reader)
        self._last: Snapshot | None = None
        self._found: list[State] = []
        self._saved: Mapping[str, RegisteredModel] | None = None
        self._looking = threading.Lock()

    def reachable(self) -> bool:
        """Say whether MLflow takes connections, within two seconds; cheap."""
        return mlflow_client.reachable(self._settings.tracking_uri)

    def snapshot(self, *, settle: bool = True) -> Snapshot:
        """Look at the registry, and remember what it says.

        Args:
            settle: first write down what was changed in it; see `settle`.

        Raises:
            RegistryUnavailableError: MLflow does not answer.
        """
        if not self._exists():
            return Snapshot({})
        with self._looking:
            client = self._client()
            found = list(look.states(client))
            self._found = found
            if settle:
                settled = self._reconciler.settle_all(client, self._served(found))
                found = [settled.get(state.name, state) for state in found]
                self._found = found
            models = {state.name: self._reader.model(client, state) for state in found}
            self._reader.forget(set(models))
            self._last = Snapshot(models)
            self._remember(self._last)
            return self._last

    def settle(self) -> bool:
        """Let every place in MLflow say what the last look found; return whether any was written.

        It takes a dozen requests for each change, which whoever serves need not wait for. What
        MLflow does not take is tried again later.

        Raises:
            RegistryUnavailableError: MLflow does not answer.
        """
        with self._looking:
            unsettled = [state for state in self._served(self._found) if not state.settled]
            if not unsettled:
                return False
            return bool(self._reconciler.settle_all(self._client(), unsettled))

    def remembered(self) -> Snapshot | None:
        """Return the last look, stale, with only the versions whose files are here, or None."""
        return remembered.load(self._memory, lambda ref: self._store.get(ref) is not None)

    def find(self, name: str, version: str | None = None, stage: Stage | None = None) -> VersionRef:
        """Return a version: by number, or who holds a stage; with neither, production.

        While MLflow is away, what it said last and the local copies answer.

        Raises:
            NotFoundError: there is no such model, version, or holder.
            RegistryUnavailableError: MLflow does not answer, and nothing here does either.
        """
        try:
            if not self._exists():
                raise NotFoundError("The model is not registered.", where="name")
            client = self._client()
            state = look.state(client, name)
            if version is None:
                model = self._reader.model(client, state)
                return holder(model, stage or Stage.PRODUCTION)
            found = numbered(client, state, version)
            return look.ref_of(found, self._reader.serving(client, state))
        except RegistryUnavailableError:
            known = self._known(name, version, stage or Stage.PRODUCTION)
            if known is None:
                raise
            return known

    def fetch(self, ref: VersionRef) -> Artifact:
        """Return a version's artifact, its files on this machine; MLflow is asked only once.

        Raises:
            UntrustedModelError: opening it could run code of its author, and TRUSTED_MODELS does
                not list it.
            CheckpointError: its files cannot be read.
            NotFoundError: it is gone.
            RegistryUnavailableError: MLflow does not answer, or the disk is full.
        """
        stored = self._store.ensure(ref, self._download)
        return opening.artifact(
            stored.files,
            ref.name,
            ref.version,
            families=self._families.keys(),
            trusted=self._settings.trusted_models,
        )

    def versions(self, name: str) -> list[VersionRef]:
        """Return every version of a model that is complete, newest first.

        Raises:
            NotFoundError: there is no such model.
            RegistryUnavailableError: MLflow does not answer.
        """
        client = self._writable()
        state = look.state(client, name)
        holders = self._reader.serving(client, state)
        with mlflow_errors("The model", where="name"):
            found: list[Any] = reconcile.all_versions(client, name)
        return [look.ref_of(version, holders) for version in found if version.status == "READY"]

    def register(
        self,
        name: str,
        model_uri: str,
        *,
        run_id: str | None = None,
        tags: Mapping[str, str] | None = None,
        description: str = "",
    ) -> VersionRef:
        """Make a model that MLflow keeps the newest version of a registered model.

        Args:
            model_uri: `models:/<model_id>`, as `flavor.log_model` returns it.

        Raises:
            InvalidInputError: MLflow does not accept the name.
            RegistryUnavailableError: MLflow does not answer.
        """
        client = self._client()
        try:
            with mlflow_errors("The model", where="name"):
                client.create_registered_model(name)
        except ConflictError:
            pass  # not the first version
        with mlflow_errors("The model", where="model_uri"):
            made = client.create_model_version(
                name,
                source=self._source(client, model_uri),
                run_id=run_id,
                tags=dict(tags or {}),
                description=description or None,
                await_creation_for=0,
                model_id=model_uri.removeprefix("models:/"),
            )
        return look.ref_of(made, Holders())

    def transition(self, name: str, version: str, stage: Stage, *, actor: str) -> VersionRef:
        """Move a version to a stage; whoever held it is archived.

        Args:
            actor: who does it; kept as the version's tag `stage_by`.

        Raises:
            NotFoundError: there is no such version.
            ConflictError: it is not complete yet.
            RegistryUnavailableError: MLflow does not answer, or does not let us write.
        """
        client = self._writable()
        state = look.state(client, name)
        found = numbered(client, state, version)
        if found.status != "READY":
            raise ConflictError("The version is not complete yet.", where="version")
        number = str(found.version)
        wanted = moved(state.holders, number, stage)
        reconcile.settle(client, state, wanted, by=actor)
        if stage in (Stage.NONE, Stage.ARCHIVED):
            reconcile.retire(client, name, number, stage, by=actor)
        ref = look.ref_of(client.get_model_version(name, number), wanted)
        _log.info("version moved", model=name, version=number, stage=stage.value, actor=actor)
        return replace(ref, stage=stage)

    def rollback(self, name: str, *, actor: str) -> VersionRef:
        """Put the version that held production before back into it; the two swap.

        Raises:
            NotFoundError: there is no such model.
            ConflictError: no version held production before.
            RegistryUnavailableError: MLflow does not answer, or does not let us write.
        """
        state = look.state(self._writable(), name)
        previous = look.former(state)
        if previous is None or previous == state.holders.production:
            raise ConflictError(
                "There is no version before this one to go back to.",
                where="name",
                expected="a model of which another version was in production before",
            )
        return self.transition(name, previous, Stage.PRODUCTION, actor=actor)

    def prune(self, keep: Collection[VersionRef] = ()) -> int:
        """Remove local copies but these and what holds a stage or held production before.

        A copy that some process asked for within ten minutes stays too. Returns how many went.
        """
        last = self._last or self.remembered()
        held = [] if last is None else [
            ref
            for model in last.models.values()
            for ref in (model.production, model.previous, model.staging)
            if ref is not None
        ]  # fmt: skip
        return self._store.prune([*keep, *held])

    def _exists(self) -> bool:
        return mlflow_client.exists(self._settings.tracking_uri)

    def _client(self) -> "MlflowClient":
        return mlflow_client.connect(self._settings)

    def _writable(self) -> "MlflowClient":
        if not self._exists():
            raise NotFoundError("The model is not registered.", where="name")
        return self._client()

    def _served(self, found: list[State]) -> list[State]:
        """Whoever serves some models only has no business with the others' stages."""
        chosen = self._settings.serve_models
        return [state for state in found if not chosen or state.name in chosen]

    def _source(self, client: "MlflowClient", model_uri: str) -> str:
        """Return what MLflow can resolve: its store for databases asks the process's global MLflow
        for a `models:/` address, which need not be this one."""
        if self._settings.tracking_uri.startswith(("http://", "https://")):
            return model_uri
        model_id = model_uri.removeprefix("models:/")
        return str(client.get_logged_model(model_id).artifact_location)

    def _download(self, ref: VersionRef, into: Path) -> None:
        download(self._client(), self._settings.tracking_uri, ref, into)

    def _remember(self, snapshot: Snapshot) -> None:
        if snapshot.models == self._saved:
            return
        try:
            remembered.save(self._memory, snapshot)
        except OSError as error:
            _log.warning("registry not remembered", error=type(error).__name__)
        else:
            self._saved = snapshot.models

    def _known(self, name: str, version: str | None, stage: Stage) -> VersionRef | None:
        if version is not None:
            return self._store.find(name, version)
        last = self._last or self.remembered()
        model = None if last is None else last.models.get(name)
        if model is None:
            return None
        return {Stage.PRODUCTION: model.production, Stage.STAGING: model.staging}.get(stage)
