"""Messages to the broker, many at once, over one connection; every wait is bounded."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Self

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from services.core.settings import Settings
from services.jobs.celery_app import make_app
from services.jobs.envelopes import Envelope, envelopes

_SECONDS = 2.0
_ERRORS = (RedisError, OSError)


class Sender:
    """Writes what workers read, and asks how much of it is left. Used by one thread."""

    def __init__(self, settings: Settings) -> None:
        self._app = make_app(settings)
        self._url = str(settings.redis_url)
        self._envelopes: Mapping[str, Envelope] | None = None
        self._client: Redis | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next question opens another one."""
        client, self._client = self._client, None
        with suppress(*_ERRORS):
            if client is not None:
                client.close()

    def send(self, messages: Iterable[tuple[str, str]]) -> str | None:
        """Send messages (id of the job, queue), the first one first; return why it failed.

        Some may have arrived all the same, and come twice if they are sent again.
        """
        if self._envelopes is None:
            self._envelopes = envelopes(self._app)
        written: dict[str, list[str]] = defaultdict(list)
        for id, queue in messages:
            written[queue].append(self._envelopes[queue].about(id))
        try:
            pipeline = self._asked().pipeline(transaction=False)
            for queue, some in written.items():
                # As kombu does: they are taken from the other end.
                pipeline.lpush(queue, *some)
            pipeline.execute()
        except _ERRORS as error:
            self.close()
            return type(error).__name__
        return None

    def lengths(self, queues: Iterable[str]) -> Mapping[str, int] | None:
        """Return how many messages lie in each queue; None: Redis does not answer."""
        names = list(queues)
        try:
            pipeline = self._asked().pipeline(transaction=False)
            for name in names:
                pipeline.llen(name)
            return dict(zip(names, pipeline.execute(), strict=True))
        except _ERRORS:
            self.close()
            return None

    def _asked(self) -> Redis:
        if self._client is None:
            self._client = client(self._url)
        return self._client


def client(url: str) -> Redis:
    """Return a client that waits for nobody for long, and never tries twice."""
    return Redis.from_url(
        url,
        socket_timeout=_SECONDS,
        socket_connect_timeout=_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


def trouble_with(url: str) -> str | None:
    """Return why a Redis does not answer; None: it does."""
    asked = client(url)
    try:
        asked.ping()
    except _ERRORS as error:
        return type(error).__name__
    finally:
        with suppress(*_ERRORS):
            asked.close()
    return None
