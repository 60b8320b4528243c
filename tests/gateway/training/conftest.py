"""A gateway with a real Redis and database; no worker, for tests write what it would."""

from collections.abc import Iterator

import httpx
import pytest

from services.families import discover
from tests.gateway.training.worker import Worker
from tests.support.jobs_stand import Stand
from tests.support.local import serving


@pytest.fixture(scope="package")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with Stand(tmp_path_factory.mktemp("stand"), request_timeout=2, ledger_shipper="off") as made:
        yield made


@pytest.fixture(scope="package")
def client(stand: Stand) -> Iterator[httpx.Client]:
    families = {name: one for name, one in discover().items() if name != "cutler"}
    with serving(stand.settings, families, ready=False) as server:
        yield server.client


@pytest.fixture
def worker(stand: Stand) -> Worker:
    return Worker(stand)
