"""An empty ledger database: every test that wants one runs on SQLite and on PostgreSQL."""

from collections.abc import Iterator

import pytest

from services.core.settings import Settings
from services.ledger.database.opening import Database, open_database
from tests.conftest import MakeSettings
from tests.support.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, make_settings: MakeSettings) -> Settings:
    """Settings that name a database of this test's own, which nobody has opened yet."""
    if request.param == "sqlite":
        return make_settings()
    return make_settings(ledger_database_url=request.getfixturevalue("postgres_url"))


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """An open, empty database."""
    opened = open_database(settings)
    yield opened
    opened.close()


@pytest.fixture
def sqlite(make_settings: MakeSettings) -> Iterator[Database]:
    """An open, empty SQLite database, for what it alone does."""
    opened = open_database(make_settings())
    yield opened
    opened.close()
