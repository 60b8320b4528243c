"""Answers in Redis, shared by every process. A Redis that is slow or gone costs next to nothing."""

import asyncio
import time

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from services.core.logging import get_logger
from services.engine.cache_base import CacheError

_log = get_logger(__name__)
_PREFIX = b"slipway:answer:"
# Longer than this, and it would be quicker to predict again.
_PATIENCE = 0.05
# After a failure nobody asks for so long; then one request tries.
_PAUSE = 2.0
_MOST_WRITES = 1000


class RedisCache:
    """Keeps answers for `ttl` seconds. Used from one event loop."""

    def __init__(self, url: str, ttl: float) -> None:
        self._redis = Redis.from_url(
            url,
            socket_timeout=_PATIENCE,
            socket_connect_timeout=_PATIENCE,
            retry=Retry(NoBackoff(), 0),
        )
        self._milliseconds = max(1, int(1000 * ttl))
        self._asks_again = 0.0
        self._writes: set[asyncio.Task[None]] = set()

    async def get(self, key: bytes) -> bytes | None:
        """Return what was kept under a key.

        Raises:
            CacheError: Redis does not answer, or did not a moment ago.
        """
        self._ask()
        try:
            async with asyncio.timeout(_PATIENCE):
                found = await self._redis.get(_PREFIX + key)
        except (RedisError, OSError, TimeoutError) as error:
            raise self._failed(error) from error
        self._answered()
        # Text only where the address asks for decoded answers.
        return found.encode() if isinstance(found, str) else found

    def put(self, key: bytes, value: bytes) -> None:
        """Keep an answer, in the background."""
        if time.monotonic() < self._asks_again or len(self._writes) >= _MOST_WRITES:
            return
        task = asyncio.get_running_loop().create_task(self._write(key, value))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def close(self) -> None:
        """Close the connections."""
        writes = list(self._writes)
        for task in writes:
            task.cancel()
        await asyncio.gather(*writes, return_exceptions=True)
        await self._redis.aclose()

    async def _write(self, key: bytes, value: bytes) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._redis.set(_PREFIX + key, value, px=self._milliseconds)
        except (RedisError, OSError, TimeoutError) as error:
            self._failed(error)

    def _ask(self) -> None:
        now = time.monotonic()
        if now < self._asks_again:
            raise CacheError
        if self._asks_again:
            # This request tries; the others do without until it knows.
            self._asks_again = now + _PAUSE

    def _answered(self) -> None:
        if self._asks_again:
            self._asks_again = 0.0
            _log.info("cache answers again")

    def _failed(self, error: BaseException) -> CacheError:
        if not self._asks_again:
            _log.warning("cache does not answer", error=type(error).__name__)
        self._asks_again = time.monotonic() + _PAUSE
        return CacheError(type(error).__name__)
