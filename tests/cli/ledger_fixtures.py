"""What the tests of `slipway ledger` share: a living writer, the database, a shipper."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from services.core.settings import Settings, load_settings
from services.ledger.database.opening import Database, open_database
from services.ledger.journal import Journal
from services.ledger.places import Places
from services.ledger.shipping.finishing import Finishing
from services.ledger.shipping.indexing import Indexing
from services.ledger.shipping.shipper import Shipper
from tests.ledger.journals import encoded, record
from tests.support.patience import PATIENCE

Write = Callable[..., dict[str, Any]]
Index = Callable[[], None]


@pytest.fixture
def settings() -> Settings:
    return load_settings()


@pytest.fixture
def write(settings: Settings) -> Iterator[Write]:
    """Append a record to the journal of a living writer, as the gateway does."""
    journal = Journal(settings)

    def append(**values: Any) -> dict[str, Any]:
        made = record(**values)
        journal.append(encoded([made])[0])
        return made

    yield append
    journal.close()


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    found = open_database(settings)
    yield found
    found.close()


@pytest.fixture
def index(settings: Settings, database: Database) -> Callable[[], None]:
    """Take everything that is in the journals into the database, as the shipper does."""
    stage = Indexing(settings, database, Places(settings.data_dir))

    def run() -> None:
        while stage.step():
            pass

    return run


@pytest.fixture
def shipper(settings: Settings) -> Iterator[None]:
    """A shipper that indexes and cleans up, and knows no MLflow."""
    stop = threading.Event()

    def stages(*given: Any) -> list[tuple[Any, float]]:
        return [(Indexing(*given), 0.05), (Finishing(*given), 0.05)]

    thread = threading.Thread(target=Shipper(settings, stages).run, args=(stop,))
    thread.start()
    until = time.monotonic() + PATIENCE
    while not Places(settings.data_dir).status.exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    yield
    stop.set()
    thread.join(PATIENCE)
