"""Gateways with predictions on record: made through their doors, or put into the database."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest

from services.core.settings import Settings
from services.ledger.database.opening import Database, open_database
from tests.conftest import MakeSettings
from tests.gateway.families import AdderFamily
from tests.support.local import LocalServer, serving
from tests.support.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]

Serve = Callable[[Settings], LocalServer]


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, make_settings: MakeSettings) -> Settings:
    """Settings without a shipper: only what a test puts into the database is there."""
    values: dict[str, Any] = {"ledger_shipper": "off"}
    if request.param == "postgresql":
        values["ledger_database_url"] = request.getfixturevalue("postgres_url")
    return make_settings(**values)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return what starts a gateway, which ends with the test."""
    with ExitStack() as stack:
        yield lambda settings: stack.enter_context(serving(settings, AdderFamily()))


@pytest.fixture
def client(serve: Serve, settings: Settings) -> httpx.Client:
    """A client of a gateway with an empty database."""
    return serve(settings).client


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """Open the database beside the gateway, as the shipper does."""
    database = open_database(settings)
    try:
        yield database
    finally:
        database.close()


def predict(client: httpx.Client, features: Any = (1, 2), status: int = 200) -> str:
    """Have something predicted; return the prediction's id."""
    answer = client.post("/predict", json={"features": features})
    assert answer.status_code == status, answer.text
    return answer.headers["X-Prediction-ID"]
