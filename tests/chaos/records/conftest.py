"""A gateway whose model answers at once, and a shipper; neither knows of an MLflow."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from services.ledger.places import Places
from tests.chaos.records.processes import Program
from tests.chaos.records.stand import wait_taken
from tests.support.postgres import postgres_server as postgres_server
from tests.support.postgres import postgres_url as postgres_url
from tests.support.server import Server, running

Start = Callable[..., Server]


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return what starts a gateway that ships nothing, ready; all of them have ended afterwards."""
    with ExitStack() as stack:

        def run(**settings: Any) -> Server:
            values = {"LEDGER_SHIPPER": "off", **settings}
            module = "tests.chaos.records.serve_echo"
            return stack.enter_context(running(tmp_path, module=module, **values))

        yield run


@pytest.fixture
def shipper(tmp_path: Path) -> Iterator[Program]:
    """Return a shipper that was not started yet."""
    program = Program("services.ledger", tmp_path, {"DATA_DIR": tmp_path})
    yield program
    program.stop()


@pytest.fixture
def shipped(places: Places, shipper: Program) -> Callable[[], None]:
    """Return what runs the shipper until it has done with the journal as it is, and ends it."""

    def run() -> None:
        shipper.start()
        wait_taken(places, shipper.tail)
        assert shipper.stop() == 0

    return run
