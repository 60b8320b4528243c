"""What every kind of cache does, and the one that does nothing."""

from typing import Protocol


class CacheError(Exception):
    """The cache cannot be asked now."""


class Cache(Protocol):
    """Keeps encoded answers for CACHE_TTL seconds; losing one is no error."""

    async def get(self, key: bytes) -> bytes | None:
        """Return what was kept under a key.

        Raises:
            CacheError: the cache cannot be asked now.
        """
        ...

    def put(self, key: bytes, value: bytes) -> None:
        """Keep an answer; returns at once, and never raises."""
        ...

    async def close(self) -> None:
        """Give back connections and memory."""
        ...


class NoCache:
    """CACHE=off."""

    async def get(self, key: bytes) -> bytes | None:
        """Return None."""
        return None

    def put(self, key: bytes, value: bytes) -> None:
        """Keep nothing."""

    async def close(self) -> None:
        """Nothing to give back."""
