"""MLflow is away for so long that the journal reaches its bound."""

from collections.abc import Callable

import httpx
import pytest

from services.ledger.places import Places
from tests.chaos.records import evidence
from tests.chaos.records.conftest import Start
from tests.chaos.records.load import Load
from tests.chaos.records.stand import wait_for

pytestmark = pytest.mark.slow

_BOUND = 256 * 1024
_SECONDS = 60.0


def test_the_gateway_refuses_until_there_is_room(
    start: Start, places: Places, shipped: Callable[[], None]
) -> None:
    server = start(LEDGER_MAX_BYTES=_BOUND, LEDGER_SEGMENT_SECONDS=0.5)
    load = Load(server.port, 1_000_000)
    load.start()
    try:
        wait_for(lambda: load.outcomes.statuses().get(503, 0) > 20, _SECONDS)
        answer = httpx.post(f"{server.url}/predict", json={"features": [1.0]}, timeout=30)
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "ledger_full"
        assert int(answer.headers["Retry-After"]) >= 1
        assert httpx.get(f"{server.url}/health/live").is_success
        before = load.count
        assert set(load.outcomes.answered) <= set(evidence.in_journal(places))
        shipped()
        load.wait(before + 100, _SECONDS)
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
        load.wait(wanted, _SECONDS)
    finally:
        load.stop()
    assert not load.outcomes.refused
    journal = evidence.in_journal(places)
    assert 0 < len(journal) < load.count
    metrics = httpx.get(f"{server.url}/metrics", timeout=30).text
    assert evidence.dropped(metrics) == load.count - len(journal)
    size = sum(path.stat().st_size for path in places.journal.glob("*/*"))
    assert size < _BOUND + 64 * 1024
