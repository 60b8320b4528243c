"""What the judged predictions of a version say, on real databases."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from services.core.ids import new_id
from services.core.settings import Settings
from services.families._judging import DEFAULT, Judging
from services.families.base import Family
from services.ledger.database import judgements, retention
from services.ledger.database.feedback import Feedback, of_prediction
from services.ledger.database.opening import Database
from services.ledger.questions import keep
from services.ledger.records import Record
from services.monitoring import quality
from services.monitoring.quality_collector import QualityCollector
from services.monitoring.quality_metrics import DEFINITIONS
from services.monitoring.quality_summary import quality as summary
from services.monitoring.series import Series
from services.monitoring.verdict import NO_ANSWER, NO_MEASURE, NO_OUTPUT, Told, judge, note, tell
from tests.ledger.database.conftest import database, postgres_server, postgres_url, settings
from tests.ledger.database.made import fill, record
from tests.support.patience import PATIENCE

__all__ = ["database", "postgres_server", "postgres_url", "settings"]

FAMILIES: dict[str, Family] = {}
ANSWER = {"predictions": ["good"], "classes": ["good", "bad"]}


def predicted(age: float = 0.0, **values: Any) -> Record:
    return record(**({"output": ANSWER, "time": time.time() - age, "family": "x"} | values))


def say(database: Database, one: Record, expected: Any, judging: Judging = DEFAULT) -> None:
    """Keep an expectation as a gateway does."""
    verdict = judge(judging, one, one.output, expected)
    given = Feedback(
        new_id(), one.id, "expected", "expectation", expected, None, None, time.time_ns() // 1000
    )
    with database.begin() as connection:
        entries, _ = keep(connection, [given])
        told = Told(one, entries, verdict)
        note(connection, judging, told)
        tell(connection, [told])


def known(database: Database, version: str = "1") -> judgements.Quality:
    with database.reading() as connection:
        found = {one.version: one for one in judgements.all_qualities(connection)}
    return found[version]


def test_it_falls_when_the_labels_say_so(database: Database, settings: Settings) -> None:
    for _ in range(4):
        say(database, predicted(), "good")
    assert quality.turn(settings, database, FAMILIES) == 1
    assert known(database).metrics == {"accuracy": 1.0, "f1": 1.0}
    assert quality.turn(settings, database, FAMILIES) == 0
    for _ in range(4):
        say(database, predicted(), "bad")
    say(database, predicted(version="2"), "good")
    assert quality.turn(settings, database, FAMILIES) == 2
    found = known(database)
    assert (found.samples, found.metrics["accuracy"]) == (8, 0.5)
    assert known(database, "2").metrics["accuracy"] == 1.0


def test_the_newest_word_counts(database: Database, settings: Settings) -> None:
    one = predicted()
    for expected, accuracy in (("good", 1.0), ("bad", 0.0), ("good", 1.0)):
        say(database, one, expected)
        quality.turn(settings, database, FAMILIES)
        found = known(database)
        assert (found.samples, found.metrics["accuracy"]) == (1, accuracy)
    with database.reading() as connection:
        said = of_prediction(connection, one.id)
    derived = [(entry.name, entry.value) for entry in said if entry.source == "slipway"]
    assert derived == [("correct", False), ("correct", True)]


def test_the_window_slides_by_count_and_by_age(database: Database, settings: Settings) -> None:
    few = settings.model_copy(update={"quality_samples": 3, "quality_days": 10.0})
    day = 86_400.0
    for age, expected in ((1, "good"), (2, "good"), (3, "bad"), (4, "bad"), (11, "bad")):
        say(database, predicted(age * day), expected)
    quality.turn(few, database, FAMILIES)
    found = known(database)
    assert found.samples == 3
    assert found.metrics["accuracy"] == pytest.approx(2 / 3)
    # What a window can never have again is forgotten.
    with database.reading() as connection:
        assert len(judgements.window(connection, ("credit", "1"), 0, 100, 10**6)) == 3


def test_a_label_outlives_its_prediction(database: Database, settings: Settings) -> None:
    one = predicted(3600.0)
    fill(database, [one])
    say(database, one, "good")
    with database.begin() as connection:
        connection.exec_driver_sql("UPDATE feedback SET state = 2")
        assert retention.prune(connection, 0.01, 0, time.time()) == 1
        assert of_prediction(connection, one.id) == []
    quality.turn(settings, database, FAMILIES)
    assert known(database).samples == 1


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"status": "failed", "output": None}, NO_ANSWER),
        ({"output": None, "output_ref": "gone.json"}, NO_OUTPUT),
        ({"output": {"a": 1, "b": 2}}, NO_MEASURE),
    ],
)
def test_what_cannot_be_judged_is_counted_by_its_reason(
    database: Database, settings: Settings, values: dict[str, Any], reason: str
) -> None:
    say(database, predicted(**values), "good")
    assert quality.turn(settings, database, FAMILIES) == 0
    with database.reading() as connection:
        assert judgements.counts(connection) == {
            ("credit", "1", "expectation"): 1, ("credit", "1", reason): 1,
        }  # fmt: skip


class Stumbling(Judging):
    """Breaks where it must not."""

    def quality(self, pairs: Any) -> dict[str, float]:
        raise RuntimeError("on purpose")


def test_a_family_that_stumbles_stops_no_other(database: Database, settings: Settings) -> None:
    families: dict[str, Any] = {"broken": Stumbling()}
    say(database, predicted(family="broken"), "good")
    say(database, predicted(version="2"), "good")
    assert quality.turn(settings, database, families) == 2
    assert known(database).metrics == {} and known(database, "2").metrics["accuracy"] == 1.0
    # It is not tried again and again.
    assert quality.turn(settings, database, families) == 0


@pytest.fixture
def collector(settings: Settings) -> Iterator[QualityCollector]:
    made = QualityCollector(settings)
    yield made
    made.close()


def test_it_is_shown_as_metrics_and_in_the_summary(
    database: Database, settings: Settings, collector: QualityCollector
) -> None:
    for expected in ("good", "bad"):
        say(database, predicted(), expected)
    say(database, predicted(status="failed"), "good")
    quality.turn(settings, database, FAMILIES)
    with database.begin() as connection:
        judgements.save(connection, replace(known(database), reference={"accuracy": 0.9}))
    until = time.monotonic() + PATIENCE
    while not summary(Series(collector.collect())):
        assert time.monotonic() < until
        time.sleep(0.02)
    assert summary(Series(collector.collect())) == [
        {
            "model": "credit", "version": "1", "samples": 2,
            "metrics": {"accuracy": 0.5, "f1": pytest.approx(1 / 3)},
            "reference": {"accuracy": 0.9}, "feedback": {"expectation": 3},
            "uncounted": {"no_answer": 1},
        }
    ]  # fmt: skip
    registry = CollectorRegistry()
    registry.register(collector)
    page = generate_latest(registry).decode()
    assert 'prediction_quality{metric="accuracy",model="credit",version="1"} 0.5' in page
    assert 'feedback_total{kind="expectation",model="credit",version="1"} 3.0' in page
    for definition in DEFINITIONS:
        assert f"# TYPE {definition.name} {definition.type}" in page
