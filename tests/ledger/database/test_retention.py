"""Forgetting: the oldest first, a piece at a time, nothing that MLflow does not have yet."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from services.core.ids import new_id
from services.ledger.database import minutes
from services.ledger.database.feedback import add_feedback, of_prediction, set_state
from services.ledger.database.lookup import recent
from services.ledger.database.opening import Database
from services.ledger.database.retention import prune
from services.ledger.database.tables import ATTACHED, FAILED, PENDING, SENDING, predictions
from services.ledger.database.tables import minutes as minutes_table
from tests.ledger.database.made import NOON, feedback, fill, record

DAY = 86_400.0


def prune_once(database: Database, days: float, rows: int, most: int = 5000) -> int:
    with database.begin() as connection:
        return prune(connection, days, rows, NOON, most)


def left(database: Database) -> list[str]:
    with database.reading() as connection:
        return [row.id for row in recent(connection, limit=10_000)]


def test_what_is_too_old_goes(database: Database) -> None:
    made = [record(time=NOON - n * DAY / 2) for n in range(10)]
    fill(database, made)
    assert prune_once(database, 2.25, 0) == 5
    assert left(database) == [item.id for item in made[:5]]
    assert prune_once(database, 2.25, 0) == 0


def test_what_is_too_many_goes(database: Database) -> None:
    made = [record(time=NOON - n) for n in range(10)]
    fill(database, made)
    assert prune_once(database, 0, 10) == prune_once(database, 0, 11) == 0
    assert prune_once(database, 0, 7) == 3
    assert left(database) == [item.id for item in made[:7]]
    assert prune_once(database, 0, 7) == 0


def test_the_narrower_bound_holds(database: Database) -> None:
    made = [record(time=NOON - n * DAY) for n in range(10)]
    fill(database, made)
    assert prune_once(database, 7.5, 9) == 2
    assert prune_once(database, 7.5, 3) == 5
    assert left(database) == [item.id for item in made[:3]]


def test_nothing_goes_without_a_bound(database: Database) -> None:
    fill(database, [record(time=NOON - 5000 * DAY)])
    assert prune_once(database, 0, 0) == 0
    assert len(left(database)) == 1


def test_it_goes_in_pieces_the_oldest_first(database: Database) -> None:
    made = [record(time=NOON - n * DAY) for n in range(20)]
    fill(database, made)
    assert prune_once(database, 4.5, 0, most=7) == 7
    assert left(database) == [item.id for item in made[:13]]
    assert prune_once(database, 4.5, 0, most=7) == 7
    assert prune_once(database, 4.5, 0, most=7) == 1
    assert prune_once(database, 4.5, 0, most=7) == 0


def test_feedback_that_waits_keeps_its_prediction(database: Database) -> None:
    made = [record(time=NOON - 9 * DAY) for _ in range(5)]
    fill(database, made)
    states = [PENDING, SENDING, ATTACHED, FAILED, None]
    said = []
    with database.begin() as connection:
        for item, state in zip(made, states, strict=True):
            if state is not None:
                said.append(feedback(item.id))
                add_feedback(connection, said[-1])
                set_state(connection, said[-1].id, state)
    assert prune_once(database, 7, 0) == 3
    assert set(left(database)) == {made[0].id, made[1].id}
    with database.reading() as connection:
        counts = [len(of_prediction(connection, item.id)) for item in made]
    assert counts == [1, 1, 0, 0, 0]
    with database.begin() as connection:
        set_state(connection, said[0].id, ATTACHED)
        set_state(connection, said[1].id, FAILED, "refused")
    assert prune_once(database, 7, 0) == 2


def test_feedback_without_a_prediction_goes_when_it_is_old(database: Database) -> None:
    """Of a prediction that was never indexed here, or went before it was judged."""
    old = round((NOON - 9 * DAY) * 1e6)
    nobody = new_id()
    kept = record(time=NOON)
    fill(database, [kept])
    with database.begin() as connection:
        for item in (
            feedback(nobody, created=old, state=ATTACHED),
            feedback(nobody, created=old),
            feedback(nobody, state=ATTACHED),
            feedback(kept.id, created=old, state=ATTACHED),
        ):
            add_feedback(connection, item)
    prune_once(database, 7, 0)
    with database.reading() as connection:
        assert [item.state for item in of_prediction(connection, nobody)] == [PENDING, ATTACHED]
        assert len(of_prediction(connection, kept.id)) == 1


def test_old_minutes_go_once_they_are_told(database: Database) -> None:
    fill(database, [record(time=NOON - days * DAY) for days in (0, 6, 8, 9)])
    with database.begin() as connection:
        found = minutes.closed(connection, minutes.minute_of(NOON) + 1, 10)
        minutes.mark_shipped(connection, [m for m in found if m != found[0]])
    prune_once(database, 0, 0)
    with database.reading() as connection:
        days = [
            round((minutes.minute_of(NOON) - minute) / 1440)
            for minute in connection.scalars(
                select(minutes_table.c.minute).order_by(minutes_table.c.minute)
            )
        ]
    assert days == [9, 6, 0]


@pytest.mark.slow
def test_the_file_of_sqlite_does_not_grow_for_ever(sqlite: Database) -> None:
    """What is freed is used again, and given back where it is much."""

    def pages() -> int:
        with sqlite.reading() as connection:
            return int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())

    sizes = []
    for round_of in range(6):
        at = NOON + round_of
        made = [record(time=at + n / 1e5) for n in range(4000)]
        fill(sqlite, made, number=round_of)
        while prune_once(sqlite, 0, 4000):
            pass
        sizes.append(pages())
    assert max(sizes) < 1.1 * sizes[1]
    while prune_once(sqlite, 0, 10):
        pass
    # In pieces as well.
    assert pages() < 0.7 * sizes[-1]


@pytest.mark.slow
def test_writers_are_not_held_up_for_long(database: Database) -> None:
    """A prediction judged while 100,000 rows go waits for one piece at most."""
    fill(database, [record(time=NOON - 9 * DAY + n / 100) for n in range(100_000)])

    def forget() -> None:
        while prune_once(database, 7, 0):
            time.sleep(0.01)

    longest, count, first = 0.0, 0, time.perf_counter()
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(forget)
        while not done.done():
            begun = time.perf_counter()
            with database.begin() as connection:
                add_feedback(connection, feedback(new_id()))
            longest, count = max(longest, time.perf_counter() - begun), count + 1
            time.sleep(0.005)
        done.result()
    with database.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(predictions)) == 0
    assert count > 5
    # The pieces are many, and none of them takes a large part of the time.
    assert longest < max(2.0, (time.perf_counter() - first) / 3)
