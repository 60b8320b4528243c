"""Minutes as metrics of serving runs."""

import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from services.core.errors import RegistryUnavailableError
from services.ledger.database import minutes
from services.ledger.shipping.aggregates import Aggregates
from services.ledger.shipping.destination import Destination
from tests.conftest import MakeSettings
from tests.ledger.journals import record
from tests.ledger.shipping.storing import NOON, TODAY, Ledger, exhaust, opened, runs_of
from tests.support.mlflow_server import MlflowServer, free_port

_NOON_STEP = 720
_KEY = ("ml_classifier", "1", "2026-11-20")


@pytest.fixture
def ledger(make_settings: MakeSettings, mlflow_server: MlflowServer) -> Iterator[Ledger]:
    """A ledger whose experiment nobody else uses."""
    settings = make_settings(
        mlflow_tracking_uri=mlflow_server.uri, ledger_experiment=f"predictions-{uuid4().hex}"
    )
    with opened(settings) as found:
        yield found


def history(ledger: Ledger, name: str, key: tuple[str, str, str] = _KEY) -> list[tuple[Any, ...]]:
    """Return (step, timestamp, value) of a metric in the order of MLflow's answer."""
    run = runs_of(ledger.settings)[key]
    found = Destination(ledger.settings).client().get_metric_history(run.info.run_id, name)
    return sorted((point.step, point.timestamp, point.value) for point in found)


def waiting(ledger: Ledger) -> int:
    with ledger.database.reading() as connection:
        return len(minutes.closed(connection, 1 << 40, 10_000))


@pytest.mark.slow
def test_a_minute_becomes_metrics(ledger: Ledger) -> None:
    made = [
        record(time=NOON + n, seconds=0.001 * (n + 1), confidence=n / 20, status=status)
        for n, status in enumerate(["succeeded"] * 15 + ["failed"] * 5)
    ]
    ledger.write(made)
    stage = Aggregates(*ledger.stage)
    exhaust(stage)
    at = (_NOON_STEP, int(NOON * 1000))
    expected = {"predictions": 20.0, "errors": 5.0, "error_rate": 0.25, "p50_ms": 10.0,
                "p95_ms": 19.0, "mean_confidence": 0.475}  # fmt: skip
    for name, value in expected.items():
        ((step, timestamp, found),) = history(ledger, name)
        assert (step, timestamp) == at
        assert found == pytest.approx(value, rel=0.0101), name
    assert stage.status() == {"minutes_told": 1, "minutes_refused": 0}
    assert waiting(ledger) == 0


@pytest.mark.slow
def test_the_same_twice_is_there_once(ledger: Ledger) -> None:
    """Killed after MLflow had taken the minutes, before the database knew it."""
    ledger.write([record(time=NOON + 60 * n, confidence=None) for n in range(3)])
    with ledger.database.reading() as connection:
        found = minutes.closed(connection, 1 << 40, 10)
    stage = Aggregates(*ledger.stage)
    for _ in range(2):
        stage._tell(_KEY, found)
    assert waiting(ledger) == 3
    exhaust(stage)
    for name in ("predictions", "errors", "p95_ms"):
        assert [point[0] for point in history(ledger, name)] == [720, 721, 722]
    assert "mean_confidence" not in runs_of(ledger.settings)[_KEY].data.metrics


@pytest.mark.slow
def test_late_records_are_told_beside_the_first(ledger: Ledger) -> None:
    ledger.write([record(time=NOON)])
    stage = Aggregates(*ledger.stage)
    exhaust(stage)
    ledger.write([record(time=NOON + 1), record(time=NOON + 2, status="failed")])
    exhaust(stage)
    at = (_NOON_STEP, int(NOON * 1000))
    assert history(ledger, "predictions") == [(*at, 1.0), (*at, 3.0)]
    assert history(ledger, "error_rate") == [(*at, 0.0), (*at, pytest.approx(1 / 3))]
    assert runs_of(ledger.settings)[_KEY].data.metrics["predictions"] == 3.0


@pytest.mark.slow
def test_many_minutes_of_many_runs(ledger: Ledger) -> None:
    """More than MLflow takes at once, over two midnights."""
    ledger.write([record(time=NOON + 60 * n, model="ab"[n % 2]) for n in range(1500)])
    exhaust(Aggregates(*ledger.stage))
    found = {key: len(history(ledger, "predictions", key)) for key in runs_of(ledger.settings)}
    assert found == {
        ("a", "1", "2026-11-20"): 360, ("b", "1", "2026-11-20"): 360,
        ("a", "1", "2026-11-21"): 390, ("b", "1", "2026-11-21"): 390,
    }  # fmt: skip
    assert ledger.totals()["minutes_told"] == 1500


@pytest.mark.slow
def test_a_run_deleted_meanwhile(ledger: Ledger) -> None:
    stage = Aggregates(*ledger.stage)
    ledger.write([record(time=NOON)])
    exhaust(stage)
    client = Destination(ledger.settings).client()
    client.delete_run(runs_of(ledger.settings)[_KEY].info.run_id)
    ledger.write([record(time=NOON + 60)])
    exhaust(stage)
    assert [point[0] for point in history(ledger, "predictions")] == [720, 721]
    assert ledger.totals() == {"minutes_told": 2}


def test_a_minute_that_may_get_more_waits(make_settings: MakeSettings) -> None:
    with opened(make_settings()) as ledger:
        now = time.time()
        ledger.write([record(time=now), record(time=now - 120), record(time=now - 60)])
        exhaust(Aggregates(*ledger.stage, settle_seconds=60))
        assert waiting(ledger) in (1, 2)
        exhaust(Aggregates(*ledger.stage, settle_seconds=-120))
        assert waiting(ledger) == 0


def test_the_settings_say_how_long(make_settings: MakeSettings) -> None:
    """A segment may take LEDGER_SEGMENT_SECONDS to be sealed."""
    with opened(make_settings(ledger_segment_seconds=1000)) as ledger:
        now = time.time()
        ledger.write([record(time=now - 1400), record(time=now - 1600)])
        exhaust(Aggregates(*ledger.stage))
        assert waiting(ledger) == 1


def test_mlflow_is_away(make_settings: MakeSettings) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    with opened(make_settings(mlflow_tracking_uri=uri)) as ledger:
        ledger.write([record(time=TODAY)])
        with pytest.raises(RegistryUnavailableError):
            Aggregates(*ledger.stage).step()
        assert waiting(ledger) == 1
