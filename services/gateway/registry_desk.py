"""The registry as the routes see it: its last look, and questions that never block the loop."""

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread

from services.core.errors import DeadlineExceededError, RegistryUnavailableError
from services.core.logging import get_logger
from services.core.metrics import Metrics
from services.core.settings import Settings
from services.families.base import Family
from services.registry.catalogue import Snapshot
from services.registry.follow import Follower
from services.registry.registry import Registry
from services.registry.webhook import Deliveries

if TYPE_CHECKING:
    from services.engine.engine import Engine

T = TypeVar("T")

_log = get_logger(__name__)
# Questions at once; more than a few only queue up in MLflow.
_THREADS = 4
# MLflow's client gives up a single question after five seconds; an answer may take several.
_ANSWER_SECONDS = 20.0
_CLOSE_SECONDS = 5.0


class RegistryDesk:
    """Follows the registry that MLFLOW_TRACKING_URI names, and answers routes, if there is one.

    Attributes:
        registry: None without MLFLOW_TRACKING_URI.
        deliveries: of MLflow's webhook; None without MLFLOW_WEBHOOK_SECRET.
        snapshot: the last look; None before the first, and without a registry.
    """

    def __init__(
        self, settings: Settings, families: Mapping[str, Family], metrics: Metrics
    ) -> None:
        self.registry: Registry | None = None
        self.snapshot: Snapshot | None = None
        self._follower: Follower | None = None
        self._settings = settings
        self._metrics = metrics
        self._limiter: anyio.CapacityLimiter | None = None
        if settings.mlflow_tracking_uri is not None:
            self.registry = Registry(settings, families)
        self.deliveries: Deliveries | None = None
        if self.registry is not None and settings.mlflow_webhook_secret is not None:
            self.deliveries = Deliveries(settings.mlflow_webhook_secret)

    @property
    def health(self) -> str | None:
        """`healthy`, `starting` or `unavailable`; None without a registry."""
        if self._follower is None:
            return None if self.registry is None else "starting"
        if self._follower.error is not None:
            return "unavailable"
        return "starting" if self.snapshot is None else "healthy"

    @property
    def stale(self) -> bool:
        """Whether what is known of the registry may be out of date."""
        known = self.snapshot
        return self.health == "unavailable" or (known is not None and known.stale)

    def start(self, engine: "Engine") -> None:
        """Begin to follow; every look goes to the engine. Returns at once."""
        if self.registry is None:
            return

        def seen(snapshot: Snapshot) -> None:
            self.snapshot = snapshot
            engine.follow(snapshot)

        self._follower = Follower(
            self.registry, seen, self._metrics, self._settings.registry_poll_seconds
        )
        self._follower.start()

    def wake(self) -> None:
        """Have the follower look now, for something has changed."""
        if self._follower is not None:
            self._follower.wake()

    async def ask(self, work: Callable[[Registry], T]) -> T:
        """Run `work` in a thread and return what it returns.

        Raises:
            RegistryUnavailableError: there is no registry, or MLflow does not answer.
            DeadlineExceededError: it took too long.
            SlipwayError: whatever else the registry raises.
        """
        registry = self.registry
        if registry is None:
            raise RegistryUnavailableError(
                "No registry is connected here.",
                where="MLFLOW_TRACKING_URI",
                expected="the address of an MLflow server",
            )
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(_THREADS)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await anyio.to_thread.run_sync(
                    work, registry, abandon_on_cancel=True, limiter=self._limiter
                )
        except TimeoutError as error:
            raise DeadlineExceededError(
                f"MLflow did not answer within {_ANSWER_SECONDS:g} seconds.",
                where="MLFLOW_TRACKING_URI",
            ) from error

    async def close(self) -> None:
        """Stop following; waits a few seconds at most."""
        follower, self._follower = self._follower, None
        if follower is None:
            return
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await asyncio.to_thread(follower.close)
        except TimeoutError:
            _log.warning("follower abandoned")
