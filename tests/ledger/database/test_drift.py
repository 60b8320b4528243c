"""What looks at drift found, and the newest predictions of a version, in both databases."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select, text

from services.ledger.database import drift
from services.ledger.database.drift import State
from services.ledger.database.opening import Database
from services.ledger.database.tables import drift_history
from services.ledger.records import parse
from tests.ledger.database.made import NOON, fill, record

KEY = ("credit", "1")
MICROS = round(NOON * 1e6)


def state(**values: Any) -> State:
    made: dict[str, Any] = {
        "model": "credit", "version": "1", "stage": "production", "checked": MICROS,
        "verdict": "ok", "score": 0.25, "samples": 500, "missing": 0,
        "report": {"drift": {"features": [{"feature": "income", "score": 0.25}]}},
    }  # fmt: skip
    return State(**{**made, **values})


def keep(database: Database, *states: State, looked: bool = True) -> None:
    with database.begin() as connection:
        for one in states:
            drift.keep(connection, one, looked=looked)


def test_a_state_is_kept_as_it_is_and_the_last_one_counts(database: Database) -> None:
    first, other = state(), state(version="2", stage="staging", score=None, verdict="no_baseline")
    keep(database, first, other)
    with database.reading() as connection:
        assert drift.states(connection) == [first, other]
    drifted = state(verdict="drift", score=3.5, since=MICROS + 7, checked=MICROS + 9, told="ok")
    keep(database, drifted)
    with database.begin() as connection:
        drift.told(connection, KEY, "drift")
        assert drift.states(connection, "credit", "1") == [replace(drifted, told="drift")]
        assert drift.states(connection, "credit", "2") == [other]
        assert drift.states(connection, "nobody") == []
        looks = drift.history(connection, KEY, 10)
    assert [(look.verdict, look.score) for look in looks] == [("drift", 3.5), ("ok", 0.25)]


def test_what_was_not_looked_at_anew_is_no_look(database: Database) -> None:
    keep(database, state())
    keep(database, state(checked=MICROS + 1), looked=False)
    with database.reading() as connection:
        assert drift.states(connection)[0].checked == MICROS + 1
        assert len(drift.history(connection, KEY, 10)) == 1


def test_the_history_has_an_end(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "MOST_HISTORY", 5)
    keep(database, *(state(checked=MICROS + n) for n in range(12)), state(version="2"))
    with database.reading() as connection:
        looks = drift.history(connection, KEY, 100)
        assert [look.checked - MICROS for look in looks] == [11, 10, 9, 8, 7]
        assert len(drift.history(connection, ("credit", "2"), 100)) == 1
        assert len(drift.history(connection, KEY, 2)) == 2


def test_what_serves_no_more_is_kept_for_a_time(database: Database) -> None:
    keep(database, state(), state(version="2", checked=MICROS - 10), state(model="other"))
    with database.begin() as connection:
        drift.retire(connection, {("other", "1"): "production"}, MICROS)
        found = {(one.model, one.version): one.stage for one in drift.states(connection)}
        assert found == {KEY: None, ("other", "1"): "production"}
        left = select(func.count()).select_from(drift_history)
        assert connection.scalar(left) == 2, "the history goes with it"


def test_the_newest_that_succeeded_and_their_records(database: Database) -> None:
    wanted = [record(time=NOON + n) for n in range(120)]
    others = [
        record(time=NOON + 500, status="failed", error={"code": "x"}),
        record(time=NOON + 500, version="2"),
        record(time=NOON + 500, model="other"),
    ]
    fill(database, [*wanted, *others])
    with database.reading() as connection:
        found = drift.newest(connection, KEY, MICROS + 10_000_000, 1000)
        assert [id for id, _ in found] == [one.id for one in reversed(wanted[10:])]
        assert found[0][1] == MICROS + 119_000_000
        assert len(drift.newest(connection, KEY, 0, 7)) == 7
        early = drift.newest(connection, KEY, 0, 1000, MICROS + 3_000_000)
        assert [id for id, _ in early] == [one.id for one in reversed(wanted[:3])]
        records = dict(drift.records(connection, [id for id, _ in found]))
    assert {id: parse(raw).time for id, raw in records.items()} == {
        one.id: one.time for one in wanted[10:]
    }


def test_the_newest_are_read_from_their_index(database: Database) -> None:
    fill(database, [record(time=NOON + n, version=str(n % 30)) for n in range(3000)])
    statement = (
        "SELECT id, time FROM predictions WHERE model = 'credit' AND version = '1' AND time >= 0"
        " AND status = 'succeeded' ORDER BY time DESC LIMIT 500"
    )
    ask = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
    with database.begin() as connection:
        connection.execute(text("ANALYZE"))
        plan = "\n".join(str(row) for row in connection.execute(text(ask + statement)))
    assert "ix_predictions_model_version" in plan
    assert "SCAN" not in plan and "Seq Scan" not in plan
    assert "TEMP B-TREE" not in plan and "Sort" not in plan
