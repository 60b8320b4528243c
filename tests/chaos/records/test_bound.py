"""MLflow is away for so long that the journal reaches its bound."""

from collections.abc import Callable

import httpx
import pytest

from services.ledger.places import Places
from tests.chaos.records import evidence
from tests.chaos.records.conftest import Start
from tests.chaos.records.load import Load
from tests.chaos.records.stand import wait_for
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.slow

_BOUND = 256 * 1024


def test_the_gateway_refuses_until_there_is_room(
    start: Start, places: Places, shipped: Callable[[], None]
) -> None:
    server = start(LEDGER_MAX_BYTES=_BOUND, LEDGER_SEGMENT_SECONDS=0.5)
    load = Load(server.port, 1_000_000)
    load.start()
    try:
        wait_for(lambda: load.outcomes.statuses().get(503, 0) > 20, PATIENCE)
        answer = httpx.post(f"{server.url}/predict", json={"features": [1.0]}, timeout=PATIENCE)
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "ledger_full"
        assert int(answer.headers["Retry-After"]) >= 1
        assert httpx.get(f"{server.url}/health/live", timeout=PATIENCE).is_success
        before = load.count
        assert set(load.outcomes.answered) <= set(evidence.in_journal(places))
        shipped()
        load.wait(before + 100, PATIENCE)
    finally:
        load.stop()
    recorded = evidence.in_database(places.database) | set(evidence.in_journal(places))
    assert set(load.outcomes.answered) <= recorded
    assert len(recorded) - load.count <= len(load.outcomes.broken)


def test_it_goes_on_without_records_where_it_may(start: Start, places: Places) -> None:
    server = start(LEDGER_MAX_BYTES=_BOUND, LEDGER_WHEN_FULL="drop")
    wanted = 3_000
    load = Load(server.port, wanted)
    load.start()
    try:
        load.wait(wanted, PATIENCE)
    finally:
        load.stop()
    assert not load.outcomes.refused
    journal = evidence.in_journal(places)
    assert 0 < len(journal) < load.count
    metrics = httpx.get(f"{server.url}/metrics", timeout=PATIENCE).text
    assert evidence.dropped(metrics) == load.count - len(journal)
    size = sum(path.stat().st_size for path in places.journal.glob("*/*"))
    assert size < _BOUND + 64 * 1024
