"""Models that other processes predict with: which version a request is for, and what it takes.

Nothing of them comes into memory here. What they take stands in the files of the registry, which
are fetched once for those protocols whose bodies cannot be read without it.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from services.core.errors import DeadlineExceededError, ModelUnavailableError, NotFoundError
from services.core.settings import Settings
from services.engine.fleet import Fleet
from services.engine.host import BUILTIN, Host
from services.engine.messages import PredictRequest
from services.engine.resolver import Resolver, plain
from services.engine.source import ModelSource
from services.engine.status import WORKERS
from services.engine.workers import Workers, WorkFailed
from services.families.base import Artifact, Family, Model, ModelInfo
from services.registry.catalogue import Identity, VersionRef

# Versions whose description is kept.
_KEPT = 64


class Described(Model):
    """A version that is predicted elsewhere: it says what it takes, and does nothing."""

    def __init__(self, info: ModelInfo, artifact: Artifact) -> None:
        self.info = info
        self.signature = artifact.signature

    def preprocess(self, payload: Any) -> Any:
        """Refuse: it is not here."""
        raise ModelUnavailableError(f"The model {self.info.name} is predicted by workers.")

    def infer(self, batch: Sequence[Any]) -> Sequence[Any]:
        """Refuse: it is not here."""
        raise ModelUnavailableError(f"The model {self.info.name} is predicted by workers.")

    def postprocess(self, prepared: Any, raw: Any) -> Any:
        """Refuse: it is not here."""
        raise ModelUnavailableError(f"The model {self.info.name} is predicted by workers.")


class Elsewhere:
    """Finds and describes versions without loading them; called from the event loop."""

    def __init__(
        self,
        settings: Settings,
        families: Mapping[str, Family],
        fleet: Fleet,
        resolver: Resolver,
        source: ModelSource | None,
    ) -> None:
        self._limit = settings.request_timeout
        self._families = families
        self._fleet = fleet
        self._resolver = resolver
        self._source = source
        self._known: OrderedDict[Identity, Described] = OrderedDict()
        # Not the finder's thread: files may be large, and a question for a version small.
        self._fetcher: Workers | None = None

    def has(self, name: str) -> bool:
        """Whether a model is predicted elsewhere."""
        host = self._fleet.hosts.get(name)
        return host is not None and host.elsewhere

    def family(self, name: str) -> str | None:
        """Return the name of a model's family, as far as it is known."""
        host = self._fleet.hosts.get(name)
        return None if host is None else host.family

    async def find(self, request: PredictRequest) -> VersionRef:
        """Return the version that a request is for; it need not be in memory anywhere.

        Raises:
            NotFoundError: there is no such model or version.
            ModelUnavailableError: none is in production, or MLflow does not answer.
            DeadlineExceededError: it takes longer than REQUEST_TIMEOUT.
        """
        host = self._resolver.host(request.model)
        if plain(request):
            wanted = host.wanted
            if wanted is None:
                raise host.unavailable()
            return wanted
        try:
            async with asyncio.timeout(self._limit):
                deadline = time.monotonic() + self._limit
                return await self._resolver.find(host, request, deadline)
        except TimeoutError as error:
            raise _late("MLflow did not answer", self._limit) from error

    async def described(self, request: PredictRequest) -> Described:
        """Return what is known of the version that a request is for.

        Raises:
            SlipwayError: as `find`; its files cannot be had, or may not be opened.
        """
        ref = await self.find(request)
        known = self._known.get(ref.identity)
        if known is None:
            host = self._resolver.host(request.model)
            known = self._known[ref.identity] = self._describe(ref, await self._artifact(host, ref))
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(ref.identity)
        return known

    def close(self) -> None:
        """Fetch nothing more."""
        if self._fetcher is not None:
            self._fetcher.close()

    async def _artifact(self, host: Host, ref: VersionRef) -> Artifact:
        if ref.source == BUILTIN and host.builtin is not None:
            return host.builtin
        source = self._source
        if source is None:
            raise NotFoundError("There is no such version of the model.", where="version")
        if self._fetcher is None:
            self._fetcher = Workers("fetcher", 1)
        try:
            async with asyncio.timeout(self._limit):
                job = self._fetcher.submit(lambda: source.fetch(ref))
                return (await asyncio.wrap_future(job)).value
        except TimeoutError as error:
            raise _late("The model's files were not here", self._limit) from error
        except WorkFailed as error:
            raise ModelUnavailableError("The model's files cannot be read.") from error

    def _describe(self, ref: VersionRef, artifact: Artifact) -> Described:
        family = self._families.get(artifact.family)
        task = "unknown" if family is None else family.task
        with self._fleet.changed:
            host = self._fleet.hosts.get(ref.name)
            if host is not None and family is not None:
                host.family, host.task = family.name, family.task
        info = ModelInfo(ref.name, ref.version, artifact.family, task, WORKERS, 0)
        return Described(info, replace(artifact, example=None, native=None))


def _late(what: str, seconds: float) -> DeadlineExceededError:
    return DeadlineExceededError(
        f"{what} within {seconds:g} seconds.", expected="another try later: it goes on"
    )
