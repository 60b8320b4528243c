"""From a request's words to a version in memory, and a place in its line."""

import asyncio
import time

from services.core.errors import ModelUnavailableError, NotFoundError
from services.engine.admission import Ticket
from services.engine.fleet import Fleet
from services.engine.host import Host
from services.engine.loaded import Loaded
from services.engine.messages import PredictRequest
from services.engine.source import ModelSource
from services.engine.watch import Watch
from services.engine.workers import Workers
from services.families.base import Model
from services.registry.catalogue import Stage, VersionRef


class Resolver:
    """Finds the version that a request is for, and has it loaded if it names one."""

    def __init__(self, fleet: Fleet, source: ModelSource | None, finder: Workers) -> None:
        self._fleet = fleet
        self._source = source
        # A thread of its own: a registry that does not answer must hold up nobody else.
        self._finder = finder

    def serving(self, name: str) -> Model | None:
        """Return the version that serves under a name, if one does."""
        host = self._fleet.hosts.get(name)
        return None if host is None or host.serving is None else host.serving.model

    def at_hand(
        self, request: PredictRequest, timeout: float, watch: Watch
    ) -> tuple[Loaded, Ticket, Stage] | None:
        """Return what `enter` would, if the version in production is asked for and is here.

        Raises:
            OverloadedError: its line is full.
        """
        host = self._fleet.hosts.get(request.model)
        loaded = None if host is None or not plain(request) else host.serving
        if host is None or loaded is None:
            return None
        watch.of(loaded.meters)
        ticket = loaded.lane.admission.enter(timeout)
        if ticket is None:
            return None
        loaded.last_used = time.time()
        return loaded, ticket, host.stage_of(loaded.ref)

    async def enter(
        self, request: PredictRequest, deadline: float, watch: Watch
    ) -> tuple[Loaded, Ticket, Stage]:
        """Return the version, a place in its line, and its stage.

        Raises:
            NotFoundError: there is no such model or version.
            ModelUnavailableError: it does not serve now; the message says what helps.
            OverloadedError: its line is full.
        """
        ref: VersionRef | None = None
        while True:
            host = self.host(request.model)
            watch.of_model(host.name)
            loaded = self._in_memory(host, request, ref)
            if loaded is not None:
                watch.of(loaded.meters)
                ticket = loaded.lane.admission.enter(deadline - time.monotonic())
                if ticket is not None:
                    loaded.last_used = time.time()
                    return loaded, ticket, host.stage_of(loaded.ref)
                with self._fleet.changed:
                    # It is just being put out; who comes after it is known when that is done.
                    continue
            if ref is None:
                ref = await self.find(host, request, deadline)
            await self._load(host, ref)

    def host(self, name: str) -> Host:
        """Return the model of a name.

        Raises:
            NotFoundError: there is none.
            ModelUnavailableError: it is not known yet whether there is.
        """
        host = self._fleet.hosts.get(name)
        if host is not None:
            return host
        if not (self._fleet.listed and self._fleet.followed):
            raise ModelUnavailableError("The models here are not known yet.", retry_after=1)
        raise NotFoundError("There is no model of that name.", where="model")

    def _in_memory(
        self, host: Host, request: PredictRequest, ref: VersionRef | None
    ) -> Loaded | None:
        if plain(request):
            return host.serving
        if ref is None and request.version is None:
            ref = host.known(None, request.stage)
        if ref is not None:
            return host.versions.get(ref.identity)
        return None if request.version is None else host.held(request.version)

    async def find(self, host: Host, request: PredictRequest, deadline: float) -> VersionRef:
        """Return the version that a request is for, in memory or not.

        Raises:
            NotFoundError: the model has no such version.
            ModelUnavailableError: none serves, or MLflow does not answer.
        """
        if plain(request):
            with self._fleet.changed:
                if host.serving is not None:
                    # It came while nobody was looking.
                    return host.serving.ref
                if host.evicted and host.wanted is not None:
                    return host.wanted
                raise host.unavailable()
        shown = host.known(request.version, request.stage)
        if shown is not None:
            return shown
        source = self._source
        if source is None:
            raise NotFoundError("There is no such version of the model.", where="version")
        job = self._finder.submit(
            lambda: source.find(request.model, request.version, request.stage), deadline=deadline
        )
        return (await asyncio.wrap_future(job)).value

    async def _load(self, host: Host, ref: VersionRef) -> None:
        """Wait until a version is in memory.

        Raises:
            ModelUnavailableError: it cannot be loaded, now or a moment ago.
        """
        failure = host.failures.get(ref.identity)
        if failure is None or (failure.next_try is not None and failure.next_try <= time.time()):
            # `wait` leaves the load alone when this request is cancelled: others may wait for it.
            await asyncio.wait([asyncio.wrap_future(self._fleet.demand(host, ref))])
            failure = host.failures.get(ref.identity)
        if ref.identity in host.unloaded:
            raise host.put_out(ref)
        if failure is not None:
            raise failure.error()
        if self._fleet.closed:
            raise ModelUnavailableError("The service is shutting down.", retry_after=1)


def plain(request: PredictRequest) -> bool:
    """Whether a request is for whatever is in production."""
    return request.version is None and request.stage in (None, Stage.PRODUCTION)
