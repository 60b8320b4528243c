"""All models: which version of each should serve, which does, and what leaves memory."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future

from services.core.logging import get_logger
from services.core.metrics import Metrics
from services.core.settings import Settings
from services.engine.demands import Demands, Load
from services.engine.host import BUILTIN, Failure, Host, builtin_ref, reason_of
from services.engine.loaded import Loaded
from services.engine.shelf import Shelf
from services.engine.status import State
from services.families.base import Artifact, Family
from services.registry.catalogue import Snapshot, VersionRef

_log = get_logger(__name__)


class Fleet:
    """The models and their versions. `changed` guards everything; nothing slow happens under it.

    Args:
        followed: no registry is to be waited for.
        elsewhere: says which models other processes predict with.
    """

    def __init__(
        self,
        settings: Settings,
        families: Mapping[str, Family],
        metrics: Metrics,
        *,
        followed: bool,
        elsewhere: Callable[[str], bool] | None = None,
    ) -> None:
        self.changed = threading.Condition()
        self.hosts: dict[str, Host] = {}
        self.closed = False
        # Whether the registry, or its local copy, has been seen; and whether MLflow itself was.
        self.followed = followed
        self.listed = False
        # Models whose first load the start of the service waits for.
        self.first: dict[str, None] = {}
        self._fresh = False
        self._settings = settings
        self._metrics = metrics
        self._families = families
        self._elsewhere = elsewhere or (lambda name: False)
        self.demands = Demands()
        self.shelf = Shelf(self.changed, self.hosts, metrics)
        self._demand_was_last = False

    # --- what should serve -------------------------------------------------------------------

    def add_builtin(self, artifact: Artifact) -> None:
        """Add a version that comes with Slipway or that the settings name."""
        with self.changed:
            if not artifact.pinned and not self._served(artifact.name):
                return
            host = self._host(artifact.name, artifact.family)
            host.builtin = artifact
            self._aim(host, stale=True)
            if host.lacks:
                self.first[host.name] = None
            self.changed.notify_all()

    def add_broken(self, family: Family, error: Exception) -> None:
        """Add a model that cannot even be named, for its settings are wrong."""
        with self.changed:
            host = self._host(family.model_name or family.name, family.name)
            host.wanted = VersionRef(host.name, "none", source=BUILTIN, created=0)
            failure = Failure(host.wanted, reason_of(error), time.time(), None)
            host.failures[host.wanted.identity] = failure
        _log.error("model failed", model=host.name, reason=failure.reason, exc_info=error)

    def builtins_listed(self) -> None:
        """All versions that come with Slipway are known from here on."""
        with self.changed:
            self.listed = True

    def follow(self, snapshot: Snapshot) -> None:
        """Aim at what the registry shows. An instant swap happens here, loads happen later."""
        with self.changed:
            # Once MLflow itself has been seen, an older copy has nothing to say.
            if self.closed or (snapshot.stale and self._fresh):
                return
            first = not self.followed
            self.followed = True
            self._fresh = not snapshot.stale
            for name, model in snapshot.models.items():
                if self._served(name):
                    self._host(name).registered = model
            for host in list(self.hosts.values()):
                if not snapshot.stale and host.name not in snapshot.models:
                    host.registered = None
                self._aim(host, stale=snapshot.stale)
                if first and host.lacks:
                    self.first[host.name] = None
            self.changed.notify_all()

    def _served(self, name: str) -> bool:
        return not self._settings.serve_models or name in self._settings.serve_models

    def _host(self, name: str, family_name: str | None = None) -> Host:
        host = self.hosts.get(name)
        if host is None:
            known = (f for f in self._families.values() if f.model_name == name)
            family = self._families.get(family_name or "", next(known, None))
            known_as = (None, None) if family is None else (family.name, family.task)
            host = Host(name, *known_as, elsewhere=self._elsewhere(name))
            self.hosts[name] = host
        return host

    def _aim(self, host: Host, *, stale: bool) -> None:
        """Decide which version of a model should serve, and let it if it is in memory."""
        target = self._target(host)
        if target is None:
            if not stale:
                self._empty(host)
            return
        self._drop_replaced(host, target)
        if host.wanted is not None and host.wanted.identity == target.identity:
            host.wanted = target
            return
        host.wanted = target
        host.evicted = False
        host.unloaded.promoted(target.identity)
        host.failures.pop(target.identity, None)
        if target.identity in host.versions:
            self._swap(host, host.versions[target.identity])

    def _target(self, host: Host) -> VersionRef | None:
        builtin, model = host.builtin, host.registered
        if builtin is not None and builtin.pinned:
            return builtin_ref(builtin)
        if model is not None and model.production is not None:
            return model.production
        if builtin is not None and self.followed:
            return builtin_ref(builtin)
        return None

    def _empty(self, host: Host) -> None:
        """The model has no version to serve; it goes wholly if it is registered no more."""
        gone = host.registered is None and host.builtin is None
        if host.wanted is not None and host.failure is not None and host.failure.next_try is None:
            return
        host.wanted = None
        host.evicted = False
        for loaded in list(host.versions.values()):
            if gone or not loaded.asked:
                self.shelf.retire(host, loaded)
        self.first.pop(host.name, None)
        if gone:
            self.hosts.pop(host.name, None)

    def _drop_replaced(self, host: Host, target: VersionRef) -> None:
        """A model that was deleted and registered anew uses its numbers again."""
        for loaded in list(host.versions.values()):
            other = loaded.ref.identity != target.identity and loaded is not host.serving
            if other and loaded.ref.version == target.version:
                self.shelf.retire(host, loaded)

    # --- what the loader does ----------------------------------------------------------------

    def demand(self, host: Host, ref: VersionRef) -> "Future[None]":
        """Ask for a version; the future ends when it is in memory or has failed.

        It ends at once if the version is here, was unloaded by request, or all is closed.
        """
        with self.changed:
            out = ref.identity in host.unloaded
            if self.closed or out or ref.identity in host.versions:
                future: Future[None] = Future()
                future.set_result(None)
                return future
            self.changed.notify_all()
            return self.demands.add(host, ref)

    def next_work(self) -> Load | Loaded | None:
        """Wait for the loader's next work: a load, or a version to close; None once closed.

        Only the latest wanted version of a model is ever loaded: what was wanted in between is
        not in any line.
        """
        with self.changed:
            while not self.closed:
                work = self.shelf.left() or self._next_load()
                if work is not None:
                    return work
                self.changed.wait(self._until_retry())
            return None

    def _next_load(self) -> Load | None:
        now = time.time()
        wanted = next((host for host in self.hosts.values() if host.due(now)), None)
        asked = self.demands.first()
        # Neither promotions nor those who name versions may keep the other waiting for ever.
        if wanted is not None and (asked is None or self._demand_was_last):
            self._demand_was_last = False
            assert wanted.wanted is not None
            return Load(wanted, wanted.wanted)
        if asked is not None:
            self._demand_was_last = True
        return asked

    def _until_retry(self) -> float | None:
        failures = (host.failure for host in self.hosts.values())
        times = [f.next_try for f in failures if f is not None and f.next_try is not None]
        return max(0.01, min(times) - time.time()) if times else None

    def progress(self, host: Host, ref: VersionRef, state: State) -> None:
        """Show how far a load is."""
        with self.changed:
            host.loading = (ref, state)

    def succeeded(self, host: Host, loaded: Loaded) -> bool:
        """Take in a version; it serves at once if it is the wanted one. False: nobody wants it."""
        with self.changed:
            ref = loaded.ref
            host.loading = None
            self.first.pop(host.name, None)
            wanted = host.wanted is not None and host.wanted.identity == ref.identity
            here = not self.closed and self.hosts.get(host.name) is host
            out = ref.identity in host.unloaded
            keep = here and not out and (wanted or ref.identity in self.demands)
            if keep:
                host.versions[ref.identity] = loaded
                host.failures.pop(ref.identity, None)
                host.known_bytes[ref.identity] = loaded.memory_bytes
                host.family, host.task = loaded.family, loaded.model.info.task
                loaded.asked = not wanted
                loaded.meters.loaded(loaded.model.info, loaded.memory_bytes)
                if wanted:
                    self._swap(host, loaded)
            else:
                loaded.lane.admission.retire(lambda: self.shelf.leave(loaded))
            self.demands.settle(ref.identity)
            return keep

    def failed(self, host: Host, ref: VersionRef, error: BaseException) -> Failure:
        """Remember that a version could not be loaded; what served goes on serving."""
        with self.changed:
            host.loading = None
            self.first.pop(host.name, None)
            failure = host.failed(ref, error, time.time())
            if host.wanted is not None and host.wanted.identity == ref.identity:
                self._metrics.model_swaps.labels(host.name, "failed").inc()
                host.evicted = False
            self.demands.settle(ref.identity)
            return failure

    def _swap(self, host: Host, loaded: Loaded) -> None:
        former, older = host.serving, host.previous
        if former is loaded:
            return
        host.serving = loaded
        loaded.asked = False
        host.evicted = False
        if former is not None:
            # What comes along only stood in: nobody rolls back to it.
            if former.ref.source == BUILTIN and loaded.ref.source != BUILTIN:
                self.shelf.retire(host, former)
            else:
                host.previous = former
            self._metrics.model_swaps.labels(host.name, "swapped").inc()
        elif older is loaded:
            host.previous = None
        if older is not None and older is not loaded and older is not host.previous:
            self.shelf.retire(host, older)
        _log.info(
            "model swapped",
            model=host.name,
            version=loaded.ref.version,
            former=None if former is None else former.ref.version,
        )

    def close(self) -> list[Loaded]:
        """End it; return every version that is still in memory."""
        with self.changed:
            self.closed = True
            self.demands.settle_where(lambda load: True)
            self.changed.notify_all()
            return self.shelf.all()
