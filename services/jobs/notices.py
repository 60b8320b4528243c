"""What happens to jobs, told through Redis to whoever waits. The truth is in the database."""

import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import orjson

from services.core.logging import get_logger
from services.core.settings import Settings
from services.jobs.names import CHANNEL, EVENTS
from services.ledger.database.job_rows import SUCCEEDED
from services.ledger.encoding import json_bytes

_log = get_logger(__name__)
# Id of a job, event, data, state: see `Notices.tell`.
News = tuple[str, str, Any, int]
_PATIENCE = 0.5
# After a failure nobody tries for so long.
_PAUSE = 1.0
_MOST_EVENTS = 256
# Seconds that a job's events are kept, while it is under way and when it has ended.
_OPEN_SECONDS, _ENDED_SECONDS = 3600, 120


class Notices:
    """Tells. Threads may share it; it never raises, and never waits for long."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.redis_url
        self._client: Any = None
        self._lock = threading.Lock()
        self._tries_again = 0.0
        self._quiet = False

    def tell(self, job_id: str, event: str, data: Any, state: int) -> None:
        """Tell what happened to a job.

        Args:
            event: `start`, `progress`, `completed`.
            data: JSON values, a few kilobytes at most.
            state: that of the job now.
        """
        self.tell_many([(job_id, event, data, state)])

    def tell_many(self, news: Iterable[News]) -> None:
        """Tell what happened to several jobs, in one go; see `tell`."""
        if self._url is None or time.monotonic() < self._tries_again:
            return
        try:
            self._send(self._url, news)
        except Exception as error:
            # Whatever it is: nobody's work fails because it could not be told.
            self._tries_again = time.monotonic() + _PAUSE
            if not self._quiet:
                self._quiet = True
                _log.warning("nobody can be told", error=type(error).__name__)
            return
        self._quiet = False

    def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):
                client.close()

    def _send(self, url: str, news: Iterable[News]) -> None:
        pipeline = self._opened(url).pipeline(transaction=False)
        for job_id, event, data, state in news:
            key = EVENTS + job_id
            fields = {"event": event, "data": json_bytes(data)}
            pipeline.xadd(key, fields, maxlen=_MOST_EVENTS, approximate=True)
            pipeline.expire(key, _ENDED_SECONDS if state >= SUCCEEDED else _OPEN_SECONDS)
            told = {"id": job_id, "event": event, "state": state}
            pipeline.publish(CHANNEL, orjson.dumps(told))
        # A Redis that is full takes no event, but still passes the word on.
        pipeline.execute(raise_on_error=False)

    def _opened(self, url: str) -> Any:
        with self._lock:
            if self._client is None:
                from redis import Redis
                from redis.backoff import NoBackoff
                from redis.retry import Retry

                self._client = Redis.from_url(
                    url,
                    socket_timeout=_PATIENCE,
                    socket_connect_timeout=_PATIENCE,
                    retry=Retry(NoBackoff(), 0),
                )
            return self._client
