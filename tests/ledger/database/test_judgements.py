"""Judgements: the newest of a prediction counts, and a version's window is read from its index."""

from dataclasses import replace
from typing import Any

from sqlalchemy import text

from services.core.ids import new_id
from services.ledger.database import judgements
from services.ledger.database.judgements import JUDGED, Judgement, Quality
from services.ledger.database.opening import Database

KEY = ("credit", "1")
ROWS = 100_000


def made(number: int = 1, **values: Any) -> Judgement:
    known = Judgement(new_id(), number, *KEY, "tabular", number, ["a"], ["a"], 10)
    return replace(known, **values)


def put(database: Database, *given: Judgement) -> None:
    with database.begin() as connection:
        for one in given:
            judgements.put(connection, one)


def window(database: Database, since: int = 0, limit: int = 100, most: int = 10**6) -> list[int]:
    with database.reading() as connection:
        return [one.number for one in judgements.window(connection, KEY, since, limit, most)]


def test_the_newest_expectation_counts_in_whatever_order_they_come(database: Database) -> None:
    first = made(5, truth=["b"])
    put(database, first, replace(first, number=9, truth=["c", None, 3.5]))
    put(database, replace(first, number=7, truth=["d"]))
    with database.reading() as connection:
        found = judgements.find(connection, first.prediction_id)
        assert found == replace(first, number=9, truth=["c", None, 3.5])
        assert judgements.find(connection, new_id()) is None


def test_a_window_has_the_newest_predictions_of_one_version(database: Database) -> None:
    put(database, *(made(number) for number in (3, 1, 5, 2, 4)))
    put(database, made(9, version="2"), made(9, model="other"))
    assert window(database) == [5, 4, 3, 2, 1]
    assert window(database, since=3) == [5, 4, 3]
    assert window(database, limit=2) == [5, 4]
    assert window(database, most=25) == [5, 4]
    assert window(database, most=1) == [5]


def test_what_is_due(database: Database) -> None:
    def due(before: int = 0) -> list[tuple[tuple[str, str], int]]:
        with database.reading() as connection:
            return list(judgements.due(connection, before, 10))

    def save(**values: Any) -> None:
        known = Quality(*KEY, 3, 1000, 3, {"accuracy": 0.5})
        with database.begin() as connection:
            judgements.save(connection, replace(known, **values))

    with database.begin() as connection:
        judgements.count(connection, KEY, "expectation", 5)
        assert list(judgements.due(connection, 0, 10)) == []
        judgements.count(connection, KEY, JUDGED, 2)
        judgements.count(connection, KEY, JUDGED)
    assert due() == [(KEY, 3)]
    save()
    assert due() == []
    assert due(before=1001) == [(KEY, 3)]
    save(samples=0)
    assert due(before=1001) == []
    save(counted=2, reference={"accuracy": 0.75})
    assert due() == [(KEY, 3)]
    save(metrics={"accuracy": 1.0})
    with database.reading() as connection:
        (known,) = judgements.all_qualities(connection, "credit")
        assert judgements.counts(connection) == {(*KEY, "expectation"): 5, (*KEY, JUDGED): 3}
    assert known == Quality(*KEY, 3, 1000, 3, {"accuracy": 1.0}, {"accuracy": 0.75})


def test_what_is_old_or_beyond_the_window_goes(database: Database) -> None:
    put(database, *(made(number) for number in range(1, 8)), made(1, version="2"))
    with database.begin() as connection:
        assert judgements.shorten(connection, KEY, 5, 0) == 2
    assert window(database) == [7, 6, 5, 4, 3]
    with database.begin() as connection:
        assert judgements.shorten(connection, KEY, 5, 5) == 2
        assert judgements.shorten(connection, KEY, 5, 5) == 0
    assert window(database) == [7, 6, 5]


def test_a_window_among_many_is_read_from_its_index(database: Database) -> None:
    numbers = (
        f"WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < {ROWS - 1})"
        if database.is_sqlite
        else f"WITH s(n) AS (SELECT generate_series(0, {ROWS - 1}))"
    )
    with database.begin(durable=False) as connection:
        names = "CAST(n AS TEXT), n, 'm' || (n % 5), CAST((n % 4) AS TEXT), NULL, n"
        values = f"{names}, '[1]', '[2]', 9"
        connection.execute(text(f"INSERT INTO judgements {numbers} SELECT {values} FROM s"))
        connection.execute(text("ANALYZE judgements"))
    explain = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
    question = (
        "SELECT * FROM judgements WHERE model = 'm1' AND version = '1'"
        " AND time >= 5 ORDER BY time DESC LIMIT 1000"
    )
    with database.reading() as connection:
        plan = " ".join(str(row) for row in connection.execute(text(f"{explain} {question}")))
        assert "ix_judgements_window" in plan, plan
        assert "Sort" not in plan and "TEMP B-TREE" not in plan, plan
        found = judgements.window(connection, ("m1", "1"), 5, 1000, 10**6)
    assert len(found) == 1000 and found[0].time > found[-1].time > ROWS - 30_000
