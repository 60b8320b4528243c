"""Webhooks: what became of a job, posted to the address its caller named, signed as Standard
Webhooks has it (`webhook-id`, `webhook-timestamp`, `webhook-signature`).

What is to be sent stands in the database, written in the transaction that made it true. It is sent
at least once and tried again for a day and a half; receivers know a repetition by its `webhook-id`.
"""

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import random
import socket
import ssl
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from urllib.parse import urlsplit

import httpcore

from services import __version__
from services.core.errors import InvalidInputError
from services.core.logging import get_logger
from services.core.settings import Settings
from services.ledger.database import deliveries, job_totals
from services.ledger.database.deliveries import Delivery
from services.ledger.database.opening import Database

_log = get_logger(__name__)
# Seconds until the next try, after the first, the second, ... failure; then it is given up.
_DELAYS = (5.0, 30.0, 120.0, 600.0, 3600.0, 4 * 3600.0, 12 * 3600.0, 20 * 3600.0)
_JITTER = 0.2
# From the look-up of the name to the answer's status; its body is not read.
_PATIENCE = 10.0
# Of that, so long for each of several addresses: one may be out of reach from here.
_CONNECT = 3.0
_ADDRESSES = 3
# While there is more to send, another round begins within so long.
_ROUNDS = 5.0
# Who was given deliveries has so long; then another may send them.
_CLAIM = 60.0
_AT_ONCE = 32
_LONGEST = 2048
_PREFIX = "whsec_"
_GONE = 410
# Addresses of the older protocol, in the newer one's clothes.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class _ForbiddenError(Exception):
    """The name leads to an address that is not to be reached from here."""


def check_address(url: str, *, allow_private: bool) -> None:
    """Refuse an address that webhooks are never sent to.

    A name is looked up when it is sent, and again each time: what it leads to may change.

    Raises:
        InvalidInputError: no http(s) address, one with a password, or a private one.
    """
    expected = "https://host/path of a server that can be reached from the internet"
    try:
        parts = urlsplit(url)
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_fits = urlsplit(""), False
    host = parts.hostname
    plain = url.isascii() and url.isprintable() and " " not in url
    if parts.scheme not in {"http", "https"} or not host or not (plain and port_fits):
        raise InvalidInputError("This is no web address.", where="webhook", expected=expected)
    if len(url) > _LONGEST:
        raise InvalidInputError(
            "The address is too long.", where="webhook", expected=f"at most {_LONGEST} characters"
        )
    if "@" in parts.netloc:
        raise InvalidInputError(
            "The address holds a user name or a password.", where="webhook", expected=expected
        )
    if not allow_private and _is_private(host):
        raise InvalidInputError(
            "The address is private.",
            where="webhook",
            expected=f"{expected}, or WEBHOOK_ALLOW_PRIVATE=true here",
        )


def sign(secret: str, id: str, timestamp: int, body: str) -> str:
    """Return the value of `webhook-signature`.

    Args:
        secret: `whsec_` and base64.
        timestamp: seconds since 1970.
    """
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    signed = f"{id}.{timestamp}.{body}".encode()
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def deliver_due(settings: Settings, database: Database) -> int:
    """Send what is due, some at once; return how many arrived. Takes some fifteen seconds at most.

    Raises:
        LedgerUnavailableError: the database is away.
    """
    if settings.webhook_secret is None:
        return 0
    arrived = 0
    until = time.monotonic() + _ROUNDS
    while True:
        now = time.time()
        with database.begin(durable=False) as connection:
            due = deliveries.due(connection, _micros(now), _micros(now + _CLAIM), _AT_ONCE)
        if due:
            arrived += _round(due, settings, database)
        if len(due) < _AT_ONCE or time.monotonic() > until:
            return arrived


def _round(due: Sequence[Delivery], settings: Settings, database: Database) -> int:
    """Try each once, and note how that went; return how many arrived."""
    assert settings.webhook_secret is not None
    # Not the loop's own threads: whoever closes it waits for them, and for a name server that
    # does not answer.
    names = ThreadPoolExecutor(_AT_ONCE, "webhook-names")
    try:
        backend = _Guarded(names, allow_private=settings.webhook_allow_private)
        trouble = asyncio.run(_send_all(due, settings.webhook_secret, backend))
    finally:
        names.shutdown(wait=False, cancel_futures=True)
    counted = {"webhooks_delivered": trouble.count(None), "webhooks_given_up": 0}
    with database.begin(durable=False) as connection:
        for delivery, error in zip(due, trouble, strict=True):
            if error is None:
                deliveries.done(connection, delivery.id)
            elif (later := _next_try(delivery, error)) is not None:
                deliveries.again(connection, delivery.id, later, error)
            else:
                deliveries.given_up(connection, delivery.id, error)
                counted["webhooks_given_up"] += 1
                _log.warning("webhook given up", job_id=delivery.job, error=error)
        job_totals.count(connection, counted, by="webhooks")
    return trouble.count(None)


def _next_try(delivery: Delivery, error: str) -> int | None:
    """Return when to try again what did not arrive; None: not any more."""
    if error == f"status {_GONE}" or delivery.attempts > len(_DELAYS):
        return None
    delay = _DELAYS[delivery.attempts - 1] * random.uniform(1 - _JITTER, 1 + _JITTER)
    return _micros(time.time() + delay)


async def _send_all(
    due: Iterable[Delivery], secret: str, backend: httpcore.AsyncNetworkBackend
) -> list[str | None]:
    """Return, for each, None or why it did not arrive."""
    async with httpcore.AsyncConnectionPool(
        ssl_context=_trust(), max_connections=_AT_ONCE, network_backend=backend
    ) as pool:
        return await asyncio.gather(*(_send(pool, delivery, secret) for delivery in due))


async def _send(pool: httpcore.AsyncConnectionPool, delivery: Delivery, secret: str) -> str | None:
    timestamp = int(time.time())
    body = delivery.body.encode()
    headers: dict[bytes | str, bytes | str] = {
        "Host": urlsplit(delivery.url).netloc,
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "User-Agent": f"slipway/{__version__}",
        "webhook-id": delivery.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secret, delivery.id, timestamp, delivery.body),
    }
    try:
        async with (
            asyncio.timeout(_PATIENCE),
            pool.stream("POST", delivery.url, headers=headers, content=body) as answer,
        ):
            # Not followed anywhere: a redirect could lead to an address that is not allowed.
            return None if 200 <= answer.status < 300 else f"status {answer.status}"
    except _ForbiddenError:
        return "private address"
    except TimeoutError:
        return "no answer in time"
    except Exception as error:
        # Whatever it is, it is this address's own: the others are to be told all the same.
        return type(error).__name__


class _Guarded(httpcore.AsyncNetworkBackend):
    """Connects to what a name leads to, but never to a private address.

    The name is looked up once and that very address is connected to: a name server that answers
    differently the second time gains nothing.
    """

    def __init__(self, names: Executor, *, allow_private: bool) -> None:
        self._names = names
        self._allow_private = allow_private
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface has it
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first of the host's addresses that may be and can be.

        Raises:
            OSError, httpcore.NetworkError, httpcore.TimeoutException: none answers.
            _ForbiddenError: none may be.
        """
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._names, _addresses, host, port)
        allowed = [one for one in found if self._allow_private or not _is_private(one)]
        if not allowed:
            raise _ForbiddenError
        for address in allowed[: _ADDRESSES - 1]:
            with suppress(httpcore.NetworkError, httpcore.TimeoutException):
                return await self._backend.connect_tcp(
                    address, port, _CONNECT, local_address, socket_options
                )
        return await self._backend.connect_tcp(
            allowed[:_ADDRESSES][-1], port, timeout, local_address, socket_options
        )

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def _is_private(host: str) -> bool:
    """Whether it is an address (or a name) of this machine or of a network of one's own."""
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        name = host.rstrip(".").lower()
        return name == "localhost" or name.endswith((".localhost", ".internal", ".local"))
    if isinstance(address, ipaddress.IPv6Address):
        if address.is_site_local:
            return True
        inside = address.ipv4_mapped or address.sixtofour
        if inside is None and address in _NAT64:
            inside = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        address = inside or address
    return not address.is_global or address.is_multicast or address.is_reserved


def _addresses(host: str, port: int) -> list[str]:
    """Look a name up; each address once, in the order in which they are to be tried."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@lru_cache(maxsize=1)
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()


def _micros(seconds: float) -> int:
    return int(seconds * 1e6)
