"""The versions in memory: how much they take, and which leave when there is too little of it."""

import threading
from collections.abc import Collection, Mapping

from services.core.logging import get_logger
from services.core.metrics import Metrics
from services.engine.host import Host
from services.engine.loaded import Loaded

_log = get_logger(__name__)


class Shelf:
    """Takes versions out of memory. `changed` guards it, and is told when one may be closed."""

    def __init__(
        self, changed: threading.Condition, hosts: Mapping[str, Host], metrics: Metrics
    ) -> None:
        self._changed = changed
        self._hosts = hosts
        self._metrics = metrics
        # Retired, but requests still hold them; and those that nobody holds any more.
        self._leaving: set[Loaded] = set()
        self._left: list[Loaded] = []

    def held(self) -> list[tuple[Host, Loaded]]:
        """Return every version that requests may enter, with its model."""
        with self._changed:
            return [(host, one) for host in self._hosts.values() for one in host.versions.values()]

    def has(self, name: str, version: str) -> bool:
        """Whether a version of that number is in memory and may be entered."""
        with self._changed:
            host = self._hosts.get(name)
            return host is not None and host.held(version) is not None

    def all(self) -> list[Loaded]:
        """Return every version that is still in memory."""
        with self._changed:
            return [*(one for _, one in self.held()), *self.leaving()]

    def leaving(self) -> list[Loaded]:
        """Return every version that is in memory and may be entered no more."""
        with self._changed:
            return [*self._leaving, *self._left]

    def left(self) -> Loaded | None:
        """Return a version that can be closed now."""
        with self._changed:
            return self._left.pop() if self._left else None

    def used(self) -> int:
        """Return the bytes of all versions in memory."""
        with self._changed:
            here = [one for _, one in self.held()]
            return sum(one.memory_bytes for one in (*here, *self._leaving))

    def make_room(self, need: int, budget: int, spare: Collection[Loaded | None]) -> bool:
        """Put out what was used least recently until `need` bytes fit; return whether they do.

        Former versions and those asked for go first; production comes back when it is asked for.
        """
        with self._changed:
            # Those that are leaving already need not be made up for by others.
            while sum(one.memory_bytes for _, one in self.held()) + need > budget:
                if not self._evict_one(spare):
                    return False
            return True

    def _evict_one(self, spare: Collection[Loaded | None]) -> bool:
        def order(pair: tuple[Host, Loaded]) -> tuple[bool, float]:
            return (pair[1] is pair[0].serving, pair[1].last_used)

        for host, loaded in sorted(self.held(), key=order):
            if loaded in spare:
                continue
            serving = loaded is host.serving
            # Hardly anybody enters a former version again, so it may as well be told to go.
            idle_only = loaded is not host.previous
            if self.retire(host, loaded, only_if_idle=idle_only):
                host.evicted = host.evicted or serving
                self._metrics.model_evictions.labels(host.name).inc()
                _log.info("model evicted", model=host.name, version=loaded.ref.version)
                return True
        return False

    def retire(self, host: Host, loaded: Loaded, *, only_if_idle: bool = False) -> bool:
        """Let nobody into a version any more; it is closed once the last request has left it."""
        self._leaving.add(loaded)
        if not loaded.lane.admission.retire(lambda: self.leave(loaded), only_if_idle=only_if_idle):
            self._leaving.discard(loaded)
            return False
        host.versions.pop(loaded.ref.identity, None)
        host.serving = None if host.serving is loaded else host.serving
        host.previous = None if host.previous is loaded else host.previous
        return True

    def leave(self, loaded: Loaded) -> None:
        """Nobody holds the version any more."""
        with self._changed:
            self._leaving.discard(loaded)
            self._left.append(loaded)
            self._changed.notify_all()
