"""The shipper's figures as metrics, whatever state its file is in."""

import time
from collections.abc import Callable

import orjson
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from services.core.metrics import Metrics
from services.core.settings import Settings
from services.ledger import collector
from services.ledger.collector import LedgerCollector
from services.ledger.frames import PREDICTION, encode
from services.ledger.places import Places
from services.ledger.shipping import status
from tests.conftest import MakeSettings
from tests.ledger.journals import record

Scrape = Callable[[], dict[str, float]]


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    return make_settings(ledger_max_bytes=1_000_000)


@pytest.fixture
def places(settings: Settings) -> Places:
    places = Places(settings.data_dir)
    places.root.mkdir(parents=True)
    return places


@pytest.fixture
def scrape(
    settings: Settings, places: Places, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], dict[str, float]]:
    """Return what a scrape finds, by name (and label)."""
    monkeypatch.setattr(collector, "_KEPT", 0.0)
    registry = CollectorRegistry()
    registry.register(LedgerCollector(settings))
    return lambda: read(registry)


def read(registry: CollectorRegistry) -> dict[str, float]:
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        "/".join([sample.name, *sample.labels.values()]): sample.value
        for family in families
        for sample in family.samples
    }


def say(places: Places, **values: object) -> None:
    """Write a status as the shipper does."""
    status.write(places.status, {**status.compose([]), "ready": True, **values})


def test_before_any_shipper(scrape: Scrape) -> None:
    assert scrape() == {
        "ledger_shipper_up": 0, "ledger_pending_bytes": 0, "ledger_bytes_limit": 1_000_000
    }  # fmt: skip


def test_all_that_the_shipper_says(scrape: Scrape, places: Places) -> None:
    say(
        places, mlflow="up", pending=7, oldest_seconds=1.5, traces_sent=3, traces_thinned=2,
        traces_refused=1, trace_share=0.25, rows_stored=9, dead_letters=4, feedback_pending=5,
        damaged_bytes=11,
    )  # fmt: skip
    found = scrape()
    assert found.items() >= {
        "ledger_shipper_up": 1, "ledger_mlflow_up": 1, "ledger_pending": 7,
        "ledger_oldest_seconds": 1.5, "ledger_trace_share": 0.25, "ledger_dead_letters": 4,
        "ledger_feedback_pending": 5, "ledger_rows_stored_total": 9,
        "ledger_damaged_bytes_total": 11, "ledger_traces_total/sent": 3,
        "ledger_traces_total/thinned": 2, "ledger_traces_total/refused": 1,
    }.items()  # fmt: skip


def test_a_shipper_that_has_not_looked_yet(scrape: Scrape, places: Places) -> None:
    """Its zeros would look like counters that began anew."""
    status.write(places.status, status.compose([]))
    found = scrape()
    assert found["ledger_shipper_up"] == 1
    assert "ledger_pending" not in found
    assert not any(name.endswith("_total") for name in found)


def test_a_shipper_that_has_gone(scrape: Scrape, places: Places) -> None:
    say(places, mlflow="up", time=time.time() - 20, pending=7)
    found = scrape()
    assert (found["ledger_shipper_up"], found["ledger_mlflow_up"]) == (0, 0)
    assert found["ledger_pending"] == 7
    # A clock that was set back is no death.
    say(places, mlflow="down", time=time.time() + 900)
    found = scrape()
    assert (found["ledger_shipper_up"], found["ledger_mlflow_up"]) == (1, 0)


def test_without_an_mlflow_nothing_is_said_of_it(scrape: Scrape, places: Places) -> None:
    say(places, mlflow="none")
    assert "ledger_mlflow_up" not in scrape()


@pytest.mark.parametrize("half", [b"", b'{"pid": 1, "pend', b"\xff\xfe", b"[" * 100_000])
def test_half_a_file_is_as_if_it_had_not_changed(
    scrape: Scrape, places: Places, half: bytes
) -> None:
    say(places, pending=7)
    assert scrape()["ledger_pending"] == 7
    places.status.write_bytes(half)
    found = scrape()
    assert (found["ledger_pending"], found["ledger_shipper_up"]) == (7, 1)
    places.status.unlink()
    assert "ledger_pending" not in scrape()


@pytest.mark.parametrize("odd", [b"[]", b"7", b'"text"', b"null"])
def test_what_is_no_status(scrape: Scrape, places: Places, odd: bytes) -> None:
    places.status.write_bytes(odd)
    assert scrape()["ledger_shipper_up"] == 0


def test_values_that_are_no_numbers_are_left_out(scrape: Scrape, places: Places) -> None:
    say(places, pending="many", rows_stored=True, time="now", traces_sent=None, dead_letters=2)
    found = scrape()
    assert not found.keys() & {
        "ledger_pending", "ledger_rows_stored_total", "ledger_traces_total/sent"
    }  # fmt: skip
    assert (found["ledger_dead_letters"], found["ledger_shipper_up"]) == (2, 0)


def test_the_journal_is_measured_without_a_shipper(scrape: Scrape, places: Places) -> None:
    folder = places.journal / "writer"
    folder.mkdir(parents=True)
    frame = encode(PREDICTION, orjson.dumps(record()))
    (folder / "00000001.log").write_bytes(frame * 3)
    (folder / "00000002.open").write_bytes(frame)
    assert scrape()["ledger_pending_bytes"] == 4 * len(frame)


def test_a_second_is_answered_from_memory(settings: Settings, places: Places) -> None:
    registry = CollectorRegistry()
    registry.register(LedgerCollector(settings))
    say(places, pending=7)
    assert read(registry)["ledger_pending"] == 7
    say(places, pending=8)
    assert read(registry)["ledger_pending"] == 7
    time.sleep(1.05)
    assert read(registry)["ledger_pending"] == 8


def test_it_fits_beside_the_other_metrics(settings: Settings, places: Places) -> None:
    """No name comes twice: Prometheus would refuse the whole page."""
    metrics = Metrics()
    metrics.registry.register(LedgerCollector(settings))
    say(places, mlflow="up")
    families = [one.name for one in text_string_to_metric_families(metrics.exposition().decode())]
    assert len(families) == len(set(families))
    assert {"ledger_dropped", "ledger_pending", "ledger_traces"} <= set(families)
