"""Answers kept for equal requests: under which key, and in what form."""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from services.core.errors import ConfigurationError
from services.core.metrics import Metrics
from services.core.settings import Settings
from services.engine.cache_base import Cache, CacheError, NoCache
from services.engine.cache_memory import MemoryCache
from services.registry.catalogue import VersionRef

# Larger answers are not kept: finding one again would keep the event loop too long.
_LARGEST = 256 * 1024
_AS_GIVEN = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME


def open_cache(settings: Settings) -> Cache:
    """Return the cache that CACHE names. It does not connect yet.

    Raises:
        ConfigurationError: CACHE_REDIS_URL (or REDIS_URL) is no address of a Redis.
    """
    if settings.cache == "redis":
        from services.engine.cache_redis import RedisCache

        own = settings.cache_redis_url
        url = own or settings.redis_url or f"redis://127.0.0.1:{settings.redis_port}/0"
        try:
            return RedisCache(url, settings.cache_ttl)
        except ValueError:
            raise ConfigurationError(
                "The address of Redis cannot be read.",
                where="REDIS_URL" if own is None else "CACHE_REDIS_URL",
                expected="redis://:password@host:port/0, rediss:// or unix://",
            ) from None
    if settings.cache == "memory":
        return MemoryCache(settings.cache_bytes, settings.cache_ttl)
    return NoCache()


class Answers:
    """What the engine sees of the cache: answers by version and payload, and the count of looks."""

    def __init__(self, cache: Cache, metrics: Metrics) -> None:
        self._cache = cache
        self._looks = {r: metrics.cache_requests.labels(r) for r in ("hit", "miss", "error")}

    def used_for(self, light: bool) -> bool:
        """Whether answers of a model are kept; a light one answers sooner than any cache."""
        return not light and not isinstance(self._cache, NoCache)

    async def get(self, key: bytes) -> Any | None:
        """Return a copy of the answer kept under a key, if there is one."""
        try:
            found = await self._cache.get(key)
            answer = None if found is None else orjson.loads(found)
        except (CacheError, orjson.JSONDecodeError):
            self._looks["error"].inc()
            return None
        self._looks["miss" if answer is None else "hit"].inc()
        return answer

    def put(self, key: bytes, encoded: bytes) -> None:
        """Keep an answer."""
        self._cache.put(key, encoded)

    async def close(self) -> None:
        """Give back connections and memory."""
        await self._cache.close()


def answer_key(family: str, ref: VersionRef, payload: bytes) -> bytes:
    """Return the key of an answer: another version, or another model, has another one."""
    head = orjson.dumps([family, *ref.identity])
    return hashlib.blake2b(head + b"\0" + payload, digest_size=20).hexdigest().encode()


def encoded(output: Any) -> bytes | None:
    """Return an answer as it is kept; None if it cannot be given back exactly, or is too large."""
    if not isinstance(output, Mapping):
        return None
    try:
        text = orjson.dumps(output, option=_AS_GIVEN)
    except TypeError:
        return None
    return text if len(text) <= _LARGEST else None
