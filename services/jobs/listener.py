"""Hears what happens to jobs: one subscription for all who wait, and a look every second."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from services.core.errors import SlipwayError
from services.core.logging import get_logger
from services.jobs.names import CHANNEL, EVENTS

_log = get_logger(__name__)
# Seconds.
_LOOK = 1.0
_CONNECT, _PATIENCE = 2.0, 1.0
_HEALTH = 10
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_READ_PAUSE = 2.0
# A stream is cut at about half of that.
_MOST_EVENTS = 512

# States by id; jobs that are not there any more are left out.
Look = Callable[[list[str]], Awaitable[dict[str, int]]]


@dataclass(eq=False, slots=True)
class Watch:
    """One who waits for news of a job.

    Attributes:
        news: set whenever there may be some.
        state: of the job, as far as this one knows.
    """

    id: str
    state: int | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Told:
    """An event of a job's stream."""

    id: str
    event: str
    data: Any


class Listener:
    """Used from one event loop. Without Redis everything works as well, a second later."""

    def __init__(self, url: str | None, look: Look) -> None:
        self._url = url
        self._look = look
        self._watches: dict[str, set[Watch]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._client: Any = None
        self._reads_again = 0.0
        self.hears = False

    @contextmanager
    def watch(self, id: str) -> Iterator[Watch]:
        """Be told of a job's news for the block."""
        self._start()
        watch = Watch(id)
        self._watches.setdefault(id, set()).add(watch)
        try:
            yield watch
        finally:
            others = self._watches[id]
            others.discard(watch)
            if not others:
                del self._watches[id]

    async def read(self, id: str, after: str | None) -> list[Told] | None:
        """Return what was told of a job since an event of it, the oldest first; None: no answer."""
        if self._url is None or time.monotonic() < self._reads_again:
            return None
        try:
            async with asyncio.timeout(_PATIENCE):
                start = "-" if after is None else f"({after}"
                found = await self._opened().xrange(EVENTS + id, start, "+", count=_MOST_EVENTS)
        except Exception as error:
            # Redis has many; whatever it is, the database has the truth.
            _log.info("events cannot be read", error=type(error).__name__)
            self._reads_again = time.monotonic() + _READ_PAUSE
            return None
        return [
            Told(_text(key), _text(fields[b"event"]), orjson.loads(fields[b"data"]))
            for key, fields in found
        ]

    async def close(self) -> None:
        """Hear nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def _start(self) -> None:
        if not self._tasks:
            loop = asyncio.get_running_loop()
            self._tasks = [loop.create_task(self._keep_looking())]
            if self._url is not None:
                self._tasks.append(loop.create_task(self._keep_hearing()))

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            if not self._watches:
                continue
            try:
                found = await self._look(list(self._watches))
            except SlipwayError:
                continue
            for id, watches in list(self._watches.items()):
                state = found.get(id)
                for watch in watches:
                    if state != watch.state:
                        watch.news.set()

    async def _keep_hearing(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._hear()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                if self.hears:
                    _log.warning("notices of jobs are not heard", error=type(error).__name__)
                    pause = _FIRST_PAUSE
            self.hears = False
            await asyncio.sleep(pause * random.uniform(0.5, 1))
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _hear(self) -> None:
        async with self._opened().pubsub() as subscription:
            await subscription.subscribe(CHANNEL)
            asked = False
            while True:
                message = await subscription.get_message(timeout=_HEALTH)
                if message is None:
                    if asked:
                        raise TimeoutError
                    asked = True
                    await subscription.ping()
                    continue
                asked = False
                if message["type"] == "subscribe":
                    # What was told before that is not heard.
                    self.hears = True
                    self._wake_all()
                elif message["type"] == "message":
                    self._wake(orjson.loads(message["data"])["id"])

    def _wake(self, id: str) -> None:
        for watch in self._watches.get(id, ()):
            watch.news.set()

    def _wake_all(self) -> None:
        for id in self._watches:
            self._wake(id)

    def _opened(self) -> Any:
        if self._client is None:
            from redis.asyncio import Redis
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff

            self._client = Redis.from_url(
                str(self._url),
                socket_connect_timeout=_CONNECT,
                socket_timeout=2 * _HEALTH,
                health_check_interval=_HEALTH,
                retry=Retry(NoBackoff(), 0),
            )
        return self._client


def _text(found: bytes | str) -> str:
    return found if isinstance(found, str) else found.decode()
