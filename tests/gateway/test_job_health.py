"""`/health` and `/metrics` where jobs are accepted: as the database and Redis have it."""

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from services.jobs import health, watch
from services.jobs.names import INTERACTIVE, QUEUES
from services.ledger.database.opening import open_database
from tests.conftest import MakeSettings
from tests.jobs import rows
from tests.support.local import LocalServer, serving
from tests.support.patience import PATIENCE
from tests.support.redis_server import RedisServer, running_redis


@pytest.fixture(autouse=True)
def _always_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_KEPT", 0.0)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


def until(server: LocalServer, status: str) -> dict[str, Any]:
    end = time.monotonic() + PATIENCE
    while (found := server.client.get("/health").json())["status"] != status:
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return dict(found)


def test_it_says_what_is_missing(make_settings: MakeSettings, redis: RedisServer) -> None:
    settings = make_settings(redis_url=redis.url)
    with serving(settings) as server:
        server.wait_ready()
        found = until(server, "degraded")
        assert found["reason"] == "No worker is there; jobs are accepted and wait."
        assert found["services"]["redis"] == "healthy"
        assert found["workers"] == dict.fromkeys(QUEUES, 0)
        database = open_database(settings)
        with database.begin() as connection:
            for queue in (*QUEUES, INTERACTIVE, health.BEAT):
                rows.worker(connection, queue)
        database.close()
        found = until(server, "healthy")
        assert found["workers"][INTERACTIVE] == 2
        assert found["services"]["beat"] == "healthy"
        metrics = server.client.get("/metrics").text
        assert 'workers{queue="interactive"} 2.0' in metrics
        assert 'service_up{service="redis"} 1.0' in metrics
        redis.kill()
        try:
            assert until(server, "degraded")["services"]["redis"] == "unavailable"
        finally:
            redis.start()


def test_a_redis_that_hangs_holds_up_nothing(make_settings: MakeSettings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"redis://127.0.0.1:{deaf.getsockname()[1]}/0"
        with serving(make_settings(redis_url=url)) as server:
            server.wait_ready()
            took = []
            for _ in range(5):
                began = time.monotonic()
                assert server.client.get("/health").is_success
                took.append(time.monotonic() - began)
            # A look takes a second here; nobody waits for it.
            assert min(took) < 0.5
            assert until(server, "degraded")["services"]["redis"] == "unavailable"


@pytest.mark.parametrize("choice", [{}, {"jobs": False, "redis_url": "redis://127.0.0.1:1/0"}])
def test_nothing_is_missing_where_no_jobs_are_accepted(
    make_settings: MakeSettings, choice: dict[str, Any]
) -> None:
    with serving(make_settings(**choice)) as server:
        server.wait_ready()
        found = until(server, "healthy")
        assert found["workers"] == {}
        assert "redis" not in found["services"]
        assert "jobs_queue_depth" not in server.client.get("/metrics").text
