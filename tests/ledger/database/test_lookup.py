"""Pages of predictions: the right ones, in order, by an index, and the same while rows arrive."""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from services.ledger.database import lookup
from services.ledger.database.opening import Database
from services.ledger.records import Record
from tests.ledger.database.made import NOON, fill, record

# One of a kind among many, so that whoever reads on until the page is full reads everything.
RARE: dict[str, str] = {
    "model": "rare", "version": "rare", "status": "failed", "mode": "batch", "caller": "rare",
}  # fmt: skip
COMMON = {"model": "m1", "version": "2", "status": "succeeded", "mode": "sync", "caller": "eve"}


def micros(seconds: float) -> int:
    return round((NOON + seconds) * 1e6)


def mixed(count: int) -> list[Record]:
    """Return records of all kinds; those that are rare are the oldest."""
    made = []
    for n in range(count):
        values: dict[str, Any] = {
            "model": f"m{n % 5}",
            "version": str(n % 3),
            "caller": "eve" if n % 2 else None,
        }
        if n < 200:
            name = list(RARE)[n % 5]
            values[name] = RARE[name]
        made.append(record(time=NOON + n / 100, **values))
    return made


def fits(item: Record, named: dict[str, str]) -> bool:
    return all(getattr(item, name) == value for name, value in named.items())


def pages(database: Database, limit: int, **named: Any) -> list[str]:
    """Return the ids of all pages, one after the other."""
    ids: list[str] = []
    before = None
    while True:
        with database.reading() as connection:
            rows = lookup.recent(connection, limit=limit, before=before, **named)
        if not rows:
            return ids
        assert len(rows) <= limit
        ids += [row.id for row in rows]
        before = (rows[-1].time, rows[-1].id)


def test_every_filter_and_every_pair(database: Database) -> None:
    made = mixed(1000)
    fill(database, made)
    newest = sorted(made, key=lambda item: (item.time, item.id), reverse=True)
    assert pages(database, 300) == [item.id for item in newest]
    one = [{name: value} for kind in (RARE, COMMON) for name, value in kind.items()]
    two = [a | b for a, b in itertools.combinations(one, 2) if a.keys() != b.keys()]
    for named in one + two:
        expected = [item.id for item in newest if fits(item, named)]
        assert pages(database, 97, **named) == expected, named


def test_from_a_time_until_another(database: Database) -> None:
    made = [record(time=NOON + n) for n in range(10)]
    fill(database, made)
    since_and_until = pages(database, 3, since=micros(2), until=micros(6))
    assert since_and_until == [item.id for item in reversed(made[2:6])]
    assert pages(database, 3, since=micros(10)) == []
    assert pages(database, 3, until=micros(0)) == []


def test_pages_of_one_moment_lose_and_repeat_nothing(database: Database) -> None:
    made = [record(time=NOON) for _ in range(25)] + [record(time=NOON - 1) for _ in range(5)]
    fill(database, made)
    for limit in (1, 4, 7, 25):
        found = pages(database, limit)
        assert len(found) == 30
        assert set(found) == {item.id for item in made}


def test_pages_stay_while_rows_arrive(database: Database) -> None:
    made = [record(time=NOON + n) for n in range(20)]
    fill(database, made)
    with database.reading() as connection:
        first = lookup.recent(connection, limit=8)
    fill(database, [record(time=NOON + 100 + n) for n in range(20)], number=2)
    with database.reading() as connection:
        last = first[-1]
        second = lookup.recent(connection, limit=50, before=(last.time, last.id))
    assert [row.id for row in first + second] == [item.id for item in reversed(made)]


@contextmanager
def statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """Collect what is sent to the database."""
    seen: list[tuple[str, Any]] = []

    def sent(_c: Any, _k: Any, statement: str, parameters: Any, _x: Any, _m: Any) -> None:
        seen.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", sent)
    yield seen
    event.remove(database.engine, "before_cursor_execute", sent)


@pytest.mark.parametrize(
    ("named", "index"),
    [
        ({}, "time"),
        ({"since": 5}, "time"),
        ({"until": 5}, "time"),
        ({"model": "rare"}, "model"),
        ({"version": "rare"}, "version"),
        ({"status": "failed"}, "status"),
        ({"status": "canceled"}, "status"),
        ({"status": "succeeded"}, "time"),
        ({"mode": "batch"}, "mode"),
        ({"mode": "sync"}, "time"),
        ({"caller": "rare"}, "caller"),
        ({"model": "rare", "version": "1"}, "model_version"),
        ({"model": "rare", "status": "failed"}, "model_status"),
        ({"model": "rare", "status": "succeeded"}, "model"),
        ({"model": "rare", "version": "1", "status": "failed"}, "model_status"),
        ({"status": "failed", "since": 5}, "status"),
    ],
)
@pytest.mark.parametrize("before", [None, (5, "id")])
def test_each_filter_has_its_index(
    sqlite: Database, named: dict[str, Any], index: str, before: tuple[int, str] | None
) -> None:
    """SQLite decides by the tables' shape alone, so that the plan is that of a full database."""
    with statements(sqlite) as seen, sqlite.reading() as connection:
        lookup.recent(connection, limit=100, before=before, **named)
        ((statement, parameters),) = seen
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        steps = [row[3] for row in plan]
    assert f"USING INDEX ix_predictions_{index} " in f"{steps[0]} "
    # The rows of one microsecond are put in order, never those of the whole index.
    assert steps[1:] == ["USE TEMP B-TREE FOR RIGHT PART OF ORDER BY"]


@pytest.mark.slow
def test_a_page_of_a_hundred_thousand_rows_is_quick(database: Database) -> None:
    fill(database, mixed(100_000))
    if not database.is_sqlite:
        # Its own housekeeping does so within a minute.
        with database.begin() as connection:
            connection.exec_driver_sql("ANALYZE predictions")
    middle = (micros(500), "id")
    one: list[dict[str, Any]] = [
        {name: value} for kind in (RARE, COMMON) for name, value in kind.items()
    ]
    for named in [{}, *one, {"model": "rare", "version": "1"}, {"model": "m1", "status": "failed"}]:
        for before in (None, middle):
            best = 9.0
            # The quickest of some: whatever else the machine does can only add to it.
            for _ in range(25):
                begun = time.perf_counter()
                with database.reading() as connection:
                    lookup.recent(connection, limit=100, before=before, **named)
                best = min(best, time.perf_counter() - begun)
                if best < 0.020:
                    break
            assert best < 0.020, named
