"""Loading and unloading because somebody says so, rather than because of a promotion."""

import asyncio
import time

from services.core.errors import (
    DeadlineExceededError,
    ModelUnavailableError,
    NotFoundError,
)
from services.core.logging import get_logger
from services.core.settings import Settings
from services.engine.fleet import Fleet
from services.engine.host import Host
from services.engine.messages import PredictRequest
from services.engine.resolver import Resolver
from services.engine.status import State
from services.registry.catalogue import VersionRef

_log = get_logger(__name__)
# Large models take minutes. A caller with less patience hangs up, and the load goes on.
_LOAD_SECONDS = 600.0


class ByHand:
    """Loads and unloads on request; called from the event loop.

    What was unloaded stays out of this process, whoever asks for it, until it is loaded by
    request or another version is promoted to production. Nothing of it outlives a restart.
    """

    def __init__(self, settings: Settings, fleet: Fleet, resolver: Resolver) -> None:
        self._find_seconds = settings.request_timeout
        self._load_seconds = max(_LOAD_SECONDS, settings.request_timeout)
        self._fleet = fleet
        self._resolver = resolver

    async def load(self, name: str, version: str | None = None) -> None:
        """Return once the version, or the one in production, is in memory.

        One that failed before is tried again now. Without `version` every version of the model
        that was unloaded may come back.

        Raises:
            NotFoundError: there is no such model or version.
            ModelUnavailableError: it cannot be loaded (says why), was unloaded meanwhile, or
                there is none in production.
            DeadlineExceededError: it takes too long; the load goes on.
        """
        host = self._resolver.host(name)
        ref = None if version is None else await self._version(host, version)
        self._take_back(host, ref)
        try:
            async with asyncio.timeout(self._load_seconds):
                await self._in_memory(host, ref)
        except TimeoutError as error:
            raise DeadlineExceededError(
                f"The model {name} was not loaded within {self._load_seconds:g} seconds.",
                expected="patience: it goes on loading, POST /v2/repository/index shows how far",
            ) from error

    async def unload(self, name: str, version: str | None = None) -> None:
        """Take a version, or the model as a whole, out of memory, and leave it out.

        Returns as soon as nobody new is let in. Requests that are in it end as if nothing had
        happened, and its memory is given back after the last of them. What is being loaded is
        closed when that is done, for a load cannot be stopped.

        Raises:
            NotFoundError: there is no such model or version.
            RegistryUnavailableError: the version is not known here, and MLflow does not answer.
        """
        host = self._resolver.host(name)
        ref = None if version is None else await self._version(host, version)
        fleet = self._fleet
        with fleet.changed:
            if ref is None:
                host.unloaded.add_all()
            else:
                host.unloaded.add(ref.identity)
            for loaded in list(host.versions.values()):
                if loaded.ref.identity in host.unloaded:
                    fleet.shelf.retire(host, loaded)
            # Those who wait for it need not wait until the load has ended.
            fleet.demands.settle_where(
                lambda load: load.host is host and load.ref.identity in host.unloaded
            )
            if host.state is State.UNLOADED:
                host.evicted = False
                fleet.first.pop(host.name, None)
            fleet.changed.notify_all()
        _log.info("model put out", model=name, version=version)

    def _take_back(self, host: Host, ref: VersionRef | None) -> None:
        with self._fleet.changed:
            if ref is None:
                host.unloaded.clear()
            else:
                host.unloaded.discard(ref.identity)
            self._fleet.changed.notify_all()

    async def _version(self, host: Host, version: str) -> VersionRef:
        held = host.held(version)
        if held is not None:
            return held.ref
        asked = PredictRequest(host.name, None, version=version)
        try:
            async with asyncio.timeout(self._find_seconds):
                deadline = time.monotonic() + self._find_seconds
                return await self._resolver.find(host, asked, deadline)
        except TimeoutError as error:
            raise DeadlineExceededError(
                f"MLflow did not answer within {self._find_seconds:g} seconds.",
                where="MLFLOW_TRACKING_URI",
            ) from error

    async def _in_memory(self, host: Host, ref: VersionRef | None) -> None:
        while True:
            target = host.wanted if ref is None else ref
            if target is None:
                raise host.unavailable()
            failure = host.failures.get(target.identity)
            # Settings that are wrong stay so until a restart.
            if failure is None or failure.next_try is not None:
                # `wait` leaves the load alone when this caller leaves: others may wait for it.
                await asyncio.wait([asyncio.wrap_future(self._fleet.demand(host, target))])
            with self._fleet.changed:
                here = self._is_here(host, target)
                # A promotion may have come while it was loading.
                if here and (ref or host.wanted or target).identity == target.identity:
                    return

    def _is_here(self, host: Host, target: VersionRef) -> bool:
        """Whether a version has come into memory; raises whatever kept it out."""
        if target.identity in host.unloaded:
            raise host.put_out(target)
        if target.identity in host.versions:
            return True
        if self._fleet.closed:
            raise ModelUnavailableError("The service is shutting down.", retry_after=1)
        if self._fleet.hosts.get(host.name) is not host:
            raise NotFoundError("There is no model of that name any more.", where="model")
        failure = host.failures.get(target.identity)
        if failure is not None:
            raise failure.error()
        # It was here for a moment, and a request brings it back.
        return host.evicted
