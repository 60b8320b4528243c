"""The one thread that brings versions into memory and takes them out of it."""

import threading
import time
from collections.abc import Mapping
from functools import partial

from services.core.errors import ConfigurationError, NotFoundError
from services.core.logging import get_logger
from services.core.metrics import Metrics
from services.core.settings import Settings
from services.engine import memory
from services.engine.demands import Load
from services.engine.fleet import Fleet
from services.engine.loaded import Loaded
from services.engine.opening import Opener
from services.engine.source import ModelSource
from services.engine.status import State
from services.families.base import Artifact, Family

_log = get_logger(__name__)


class Loader:
    """Works off what the fleet wants. Serial, so that the memory of a load can be measured."""

    def __init__(
        self,
        settings: Settings,
        families: Mapping[str, Family],
        metrics: Metrics,
        fleet: Fleet,
        source: ModelSource | None,
    ) -> None:
        self._settings = settings
        self._families = families
        self._metrics = metrics
        self._fleet = fleet
        self._source = source
        self._budget = memory.budget(settings.memory_budget)
        self._opener = Opener(settings, families, metrics)
        self._thread = threading.Thread(target=self._run, name="loader", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def join(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for the thread to end."""
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        self._list_builtins()
        while (work := self._fleet.next_work()) is not None:
            if isinstance(work, Loaded):
                self._unload(work)
            elif not self._load(work):
                # What is left of it may refer to itself.
                memory.give_back()
            # A frame that lives on must not keep a model.
            del work
            memory.settle()

    def _list_builtins(self) -> None:
        for family in self._families.values():
            try:
                artifact = family.builtin(self._settings)
            # Whatever it was, the other models still want to be loaded.
            except Exception as error:
                self._fleet.add_broken(family, error)
            else:
                if artifact is not None:
                    self._fleet.add_builtin(artifact)
        self._fleet.builtins_listed()

    def _load(self, work: Load) -> bool:
        """Load a version; say whether it is there."""
        host, ref = work.host, work.ref
        _log.info("model loading", model=ref.name, version=ref.version)
        started = time.monotonic()
        self._fleet.progress(host, ref, State.LOADING)
        try:
            loaded = self._open(work)
        # Whatever it was, the other models still want to be loaded.
        except BaseException as error:
            failure = self._fleet.failed(host, ref, error)
            _log.error(
                "model failed",
                model=ref.name,
                version=ref.version,
                seconds=round(time.monotonic() - started, 3),
                reason=failure.reason,
                attempts=failure.attempts,
                exc_info=error,
            )
            return False
        seconds = time.monotonic() - started
        self._metrics.model_load_duration.labels(ref.name).observe(seconds)
        if self._fleet.succeeded(host, loaded):
            _log.info(
                "model ready",
                model=ref.name,
                version=ref.version,
                seconds=round(seconds, 3),
                device=loaded.model.info.device,
                memory_bytes=loaded.memory_bytes,
                light=loaded.is_light,
            )
        self._make_room(0, work, loaded)
        return True

    def _open(self, work: Load) -> Loaded:
        host, ref = work.host, work.ref
        artifact = self._fetch(work)
        # The folder of files that the settings name may hold anything else beside them.
        files = 0 if artifact is host.builtin else memory.size_on_disk(artifact.folder)
        expected = host.known_bytes.get(ref.identity, files)
        self._fits(expected)
        self._make_room(expected, work, None)
        warming = partial(self._fleet.progress, host, ref, State.WARMING)
        loaded = self._opener.open(ref, artifact, warming)
        try:
            self._fits(loaded.memory_bytes)
        except ConfigurationError:
            self._close(loaded)
            raise
        return loaded

    def _fetch(self, work: Load) -> Artifact:
        builtin = work.host.builtin
        if work.ref.created == 0 and builtin is not None:
            return builtin
        if self._source is None:
            raise NotFoundError("No registry is followed here.", where="version")
        return self._source.fetch(work.ref)

    def _fits(self, size: int) -> None:
        if size > self._budget:
            raise ConfigurationError(
                f"The version takes {size:,} bytes, more than all models may take together.",
                where="MEMORY_BUDGET",
                expected=f"a model of at most {self._budget:,} bytes, or a larger budget",
            )

    def _make_room(self, need: int, work: Load, loaded: Loaded | None) -> None:
        # Its predecessor serves until the new version does.
        spare = (loaded, work.host.serving)
        if not self._fleet.shelf.make_room(need, self._budget, spare):
            _log.warning("memory budget exceeded", used=self._fleet.shelf.used(), need=need)
        while (left := self._fleet.shelf.left()) is not None:
            self._unload(left)
            del left

    def _unload(self, loaded: Loaded) -> None:
        ref = loaded.ref
        started = time.monotonic()
        if not self._fleet.shelf.has(ref.name, ref.version):
            loaded.meters.unloaded()
        loaded.meters.close()
        self._close(loaded)
        del loaded
        memory.give_back()
        seconds = round(time.monotonic() - started, 3)
        _log.info("model unloaded", model=ref.name, version=ref.version, seconds=seconds)

    def _close(self, loaded: Loaded) -> None:
        loaded.lane.close()
        loaded.lane.join(1.0)
        try:
            loaded.model.close()
        except Exception as error:
            _log.error("model did not close", model=loaded.ref.name, exc_info=error)
