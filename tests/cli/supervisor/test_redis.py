"""The Redis of `slipway run`: the real server, as the supervisor starts it."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from services.cli.supervisor import redis
from services.cli.supervisor.program import Program, Running, start
from services.core.errors import ConfigurationError
from tests.cli.supervisor.test_supervisor import until
from tests.conftest import MakeSettings
from tests.support.mlflow_server import free_port
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def running(program: Program) -> AsyncIterator[Running]:
    assert program.ready is not None
    assert not await program.ready()
    process = await start(program)
    try:
        await until_ready(program)
        yield process
    finally:
        await process.stop(signal.SIGTERM)


async def until_ready(program: Program) -> None:
    async with asyncio.timeout(PATIENCE):
        while not (program.ready is not None and await program.ready()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_what_it_took_outlives_it_being_killed(make_settings: MakeSettings) -> None:
    settings = make_settings(redis_port=free_port())
    program = redis.broker(settings, dict(os.environ))
    async with running(program) as process, Redis.from_url(redis.address(settings)) as client:
        await client.lpush("interactive", "message")
        await _written(settings.data_dir)
        os.kill(process.process.pid, signal.SIGKILL)
        await process.process.wait()
    async with running(program), Redis.from_url(redis.address(settings)) as client:
        assert await client.lrange("interactive", 0, -1) == [b"message"]


async def _written(data_dir: Path) -> None:
    home = data_dir / "redis"
    await until(lambda: any(b"message" in f.read_bytes() for f in home.rglob("*.aof")))


async def test_it_refuses_rather_than_forgets(make_settings: MakeSettings) -> None:
    settings = make_settings(redis_port=free_port())
    program = redis.broker(settings, dict(os.environ))
    async with running(program), Redis.from_url(redis.address(settings)) as client:
        found = await client.config_get("maxmemory*")
        assert found["maxmemory-policy"] == "noeviction"
        assert int(found["maxmemory"] or 0) > 0
        await client.config_set("maxmemory", 1)
        with pytest.raises(ResponseError, match="maxmemory"):
            await client.lpush("interactive", "message")


async def test_the_cache_is_another_on_a_socket_of_ours(make_settings: MakeSettings) -> None:
    settings = make_settings(cache="redis", cache_bytes=32 * 1024 * 1024)
    program, address = redis.cache(settings, dict(os.environ))
    assert address.startswith("unix://")
    async with running(program), Redis.from_url(address) as client:
        found = await client.config_get("*")
        assert (found["maxmemory-policy"], found["port"]) == ("allkeys-lru", "0")
        assert (found["appendonly"], found["save"]) == ("no", "")
    # Another one finds what a killed one left.
    program, _ = redis.cache(settings, dict(os.environ))
    async with running(program):
        pass


async def test_a_folder_too_deep_for_a_socket(make_settings: MakeSettings, tmp_path: Path) -> None:
    port = free_port()
    deep = tmp_path / ("x" * 120)
    program, address = redis.cache(
        make_settings(cache="redis", redis_port=port, data_dir=deep), dict(os.environ)
    )
    assert address == f"redis://127.0.0.1:{port + 1}/0"
    async with running(program), Redis.from_url(address) as client:
        assert await client.ping()


async def test_a_port_that_is_taken(make_settings: MakeSettings) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        settings = make_settings(redis_port=other.getsockname()[1])
        with pytest.raises(ConfigurationError) as caught:
            redis.broker(settings, {})
    assert caught.value.where == "REDIS_PORT"
    assert "REDIS_URL" in (caught.value.expected or "")


@pytest.mark.parametrize(
    ("said", "ours"),
    [("Redis server v=7.0.15 sha=0", False), ("Redis server v=5.0.7", True), ("nonsense", True)],
)
async def test_the_systems_own_server_comes_first(
    said: str, ours: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "redis-server"
    program.write_text(f"#!/bin/sh\necho '{said}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert (redis.server() != program) is ours
    assert redis.server().exists()
