"""Overload and deadlines: the same status at every door, and when to come back."""

import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import settings_for_tests
from tests.gateway.doors import DOORS, NUMBER, TABLE, Door, TableFamily, read, well_told
from tests.support.local import serving
from tests.support.patience import PATIENCE


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Held while it is not set: predictions whose first number is above 5."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def narrow(
    gate: threading.Event, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A gateway with no waiting line and little patience."""

    def held(number: float) -> None:
        # Never as light as what is done on the event loop.
        time.sleep(0.002)
        if number > 5:
            gate.wait(PATIENCE)

    settings = settings_for_tests(
        data_dir=tmp_path_factory.mktemp("data"),
        max_queue=0,
        request_timeout=0.4,
        default_model=TABLE,
        cache="off",
    )
    with serving(settings, TableFamily(held)) as server:
        yield server.client
        gate.set()


def test_what_waiting_helps(narrow: httpx.Client, gate: threading.Event) -> None:
    """The first request is over its deadline; its work goes on, and keeps the only place."""
    first, *others = DOORS.values()
    late = read(_sent(first, narrow, 6.0))
    assert (late.status, late.help) == (504, f"/models/{TABLE}")
    for door in others:
        response = _sent(door, narrow, 1.0)
        told = read(response)
        assert told.status == 429, (door.path, response.text)
        well_told(response, told)
        assert told.expected


@pytest.mark.slow
@pytest.mark.parametrize("name", DOORS)
def test_the_deadline(narrow: httpx.Client, name: str) -> None:
    response = _sent(DOORS[name], narrow, NUMBER)
    told = read(response)
    assert told.status == 504, response.text
    well_told(response, told)


def _sent(door: Door, client: httpx.Client, number: float) -> httpx.Response:
    response = door.send(client, [[number, 2.0]])
    assert response is not None
    return response
