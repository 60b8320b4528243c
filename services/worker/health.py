"""Looks at the parts of the system, from where the work is done."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from services.core.errors import SlipwayError
from services.jobs.health import HEALTHY, UNAVAILABLE
from services.jobs.names import QUEUES
from services.ledger.database import workers
from services.worker.child import Child

_REDIS_SECONDS = 2.0
_MLFLOW_SECONDS = 5.0
# A worker writes every few seconds that it is there.
_PRESENT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Found:
    """What a look found."""

    status: str
    detail: str | None
    seconds: float


Look = Callable[[Child], Found | None]


def _timed(look: Callable[[Child], str | None]) -> Look:
    """Return a look that says how long it took; what it returns or raises is what is wrong."""

    def timed(child: Child) -> Found:
        began = time.monotonic()
        try:
            wrong = look(child)
        except SlipwayError as error:
            wrong = error.message
        except Exception as error:
            # Its words may hold an address with a password.
            wrong = f"It does not answer ({type(error).__name__})."
        status = HEALTHY if wrong is None else UNAVAILABLE
        return Found(status, wrong, time.monotonic() - began)

    return timed


def _redis(child: Child) -> str | None:
    import redis

    url = child.settings.redis_url
    if url is None:
        return "REDIS_URL is empty."
    with redis.Redis.from_url(
        url, socket_timeout=_REDIS_SECONDS, socket_connect_timeout=_REDIS_SECONDS
    ) as client:
        client.ping()
    return None


def _database(child: Child) -> str | None:
    with child.database.reading() as connection:
        workers.all_checks(connection)
    return None


def _mlflow(child: Child) -> str | None:
    import httpx

    address = child.settings.tracking_uri
    if urlsplit(address).scheme not in ("http", "https"):
        return None
    answer = httpx.get(f"{address.rstrip('/')}/health", timeout=_MLFLOW_SECONDS)
    return None if answer.is_success else f"It answers {answer.status_code}."


def _workers(child: Child) -> str | None:
    since = int((time.time() - _PRESENT_SECONDS) * 1e6)
    with child.database.reading() as connection:
        there = {worker.queue for worker in workers.present(connection, since)}
    missing = [queue for queue in QUEUES if queue not in there]
    return f"No worker serves {', '.join(missing)}." if missing else None


def _configured_mlflow(child: Child) -> Found | None:
    return None if child.settings.mlflow_tracking_uri is None else _timed(_mlflow)(child)


LOOKS: dict[str, Look] = {
    "redis": _timed(_redis),
    "database": _timed(_database),
    "mlflow": _configured_mlflow,
    "workers": _timed(_workers),
}
