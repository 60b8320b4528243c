"""Answers in this process' memory: the least recently used go first."""

import time
from collections import OrderedDict

# A dictionary's entry, two byte strings and a float weigh about this much beside their contents.
_OVERHEAD = 300


class MemoryCache:
    """At most `most` bytes, each answer for `ttl` seconds. Used from one event loop."""

    def __init__(self, most: int, ttl: float) -> None:
        self._most = most
        self._ttl = ttl
        self._bytes = 0
        self._kept: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def size(self) -> int:
        """Return the bytes of memory that the answers take."""
        return self._bytes

    async def get(self, key: bytes) -> bytes | None:
        """Return what was kept under a key, if it is not too old."""
        found = self._kept.get(key)
        if found is None:
            return None
        until, value = found
        if time.monotonic() >= until:
            self._forget(key)
            return None
        self._kept.move_to_end(key)
        return value

    def put(self, key: bytes, value: bytes) -> None:
        """Keep an answer and forget the least recently used ones that no longer fit."""
        self._forget(key)
        size = len(key) + len(value) + _OVERHEAD
        if size > self._most:
            return
        while self._bytes + size > self._most:
            self._forget(next(iter(self._kept)))
        self._kept[key] = (time.monotonic() + self._ttl, value)
        self._bytes += size

    async def close(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._bytes = 0

    def _forget(self, key: bytes) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._bytes -= len(key) + len(found[1]) + _OVERHEAD
