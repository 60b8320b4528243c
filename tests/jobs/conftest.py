"""A database, a Redis that may die, and desks on both."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.core.settings import Settings
from services.jobs.desk import JobDesk
from services.jobs.sync import JobStore
from services.ledger.database.opening import Database, open_database
from tests.conftest import MakeSettings
from tests.support.postgres import postgres_server, postgres_url
from tests.support.redis_server import RedisServer, running_redis

__all__ = ["postgres_server", "postgres_url"]

MakeDesk = Callable[..., JobDesk]


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of this test's own."""
    with running_redis(tmp_path / "redis") as made:
        yield made


@pytest.fixture
def queued(
    request: pytest.FixtureRequest, make_settings: MakeSettings, redis_server: RedisServer
) -> Settings:
    """Settings with a Redis, and SQLite; `on_both` has the test run on PostgreSQL as well."""
    if getattr(request, "param", None) != "postgresql":
        return make_settings(redis_url=redis_server.url)
    url = request.getfixturevalue("postgres_url")
    return make_settings(redis_url=redis_server.url, ledger_database_url=url)


on_both = pytest.mark.parametrize("queued", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def store(queued: Settings) -> Iterator[JobStore]:
    """A store on them."""
    with JobStore(queued) as made:
        yield made


@pytest.fixture
def opened(queued: Settings) -> Iterator[Database]:
    """Their database."""
    database = open_database(queued)
    yield database
    database.close()


@pytest.fixture
async def make_desk(queued: Settings) -> AsyncIterator[MakeDesk]:
    """Return a maker of desks: on the same settings, but for what the test names."""
    made: list[JobDesk] = []

    def make(**values: Any) -> JobDesk:
        desk = JobDesk(queued.model_copy(update=values))
        made.append(desk)
        return desk

    yield make
    for desk in made:
        await desk.close()
