"""Gateways that accept jobs: with a real Redis, and without workers, so that jobs stay queued."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.conftest import settings_for_tests
from tests.support.local import LocalServer, serving
from tests.support.redis_server import RedisServer, running_redis
from tests.support.serve_predictions import families

__all__ = ["families"]

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis for a file's tests."""
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def server(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """A gateway whose jobs nobody does."""
    settings = settings_for_tests(
        data_dir=tmp_path_factory.mktemp("data"),
        redis_url=redis.url,
        webhook_secret=SECRET,
        max_file_size=200_000,
        request_timeout=5,
    )
    with serving(settings, families()) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: LocalServer) -> httpx.Client:
    """A client of it."""
    return server.client


def later(client: httpx.Client, input: Any = None, **fields: Any) -> httpx.Response:
    """Ask for a prediction of the adder."""
    headers = fields.pop("headers", {})
    body = {"model": "adder", "input": {"features": [1, 2]} if input is None else input, **fields}
    return client.post("/predictions", json=body, headers=headers)
