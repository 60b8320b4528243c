"""Versions that somebody waits for."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from services.engine.host import Host
from services.registry.catalogue import Identity, VersionRef


@dataclass(frozen=True, slots=True)
class Load:
    """Work for the loader: bring a version into memory."""

    host: Host
    ref: VersionRef


class Demands:
    """At most one demand for each version, in the order of asking. Guarded by the fleet's lock."""

    def __init__(self) -> None:
        self._all: dict[Identity, tuple[Load, Future[None]]] = {}

    def add(self, host: Host, ref: VersionRef) -> "Future[None]":
        """Return a future that ends when the demand is settled; callers of one version share it."""
        found = self._all.setdefault(ref.identity, (Load(host, ref), Future()))
        return found[1]

    def first(self) -> Load | None:
        """Return the oldest demand."""
        return next((load for load, _ in self._all.values()), None)

    def of(self, host: Host) -> list[VersionRef]:
        """Return the versions of one model that somebody waits for."""
        return [load.ref for load, _ in self._all.values() if load.host is host]

    def settle(self, identity: Identity) -> None:
        """Tell those who wait for a version that it is there, has failed, or will not come."""
        found = self._all.pop(identity, None)
        if found is not None:
            found[1].set_result(None)

    def settle_where(self, condition: Callable[[Load], bool]) -> None:
        """Settle every demand of which a condition holds."""
        for load in [load for load, _ in self._all.values() if condition(load)]:
            self.settle(load.ref.identity)

    def __contains__(self, identity: Identity) -> bool:
        return identity in self._all
