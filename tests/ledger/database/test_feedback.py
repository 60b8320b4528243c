"""Feedback is kept as it was said, in the order of arrival, until MLflow has it."""

from typing import Any

import pytest

from services.core.ids import new_id
from services.ledger.database.feedback import (
    Feedback,
    add_feedback,
    has_feedback,
    of_prediction,
    pending,
    set_state,
)
from services.ledger.database.opening import Database
from services.ledger.database.tables import ATTACHED, FAILED, PENDING, SENDING
from tests.ledger.database.made import feedback

ONE, OTHER = new_id(), new_id()


def add(database: Database, *items: Feedback) -> None:
    for item in items:
        with database.begin() as connection:
            add_feedback(connection, item)


def ids(found: list[Feedback]) -> list[str]:
    return [item.id for item in found]


@pytest.mark.parametrize(
    "value",
    [True, None, 0, 0.5, "good", "", ["a", 1], {"label": "bad", "nested": {"x": [None]}}, "a\0b"],
)
def test_a_value_comes_back_as_it_was(database: Database, value: Any) -> None:
    made = feedback(
        ONE, value=value, rationale="weil es stimmt ✓", source="alice", kind="expectation"
    )
    add(database, made)
    with database.reading() as connection:
        (found,) = of_prediction(connection, ONE)
    assert found.value == value
    assert (found.name, found.kind, found.rationale) == ("correct", "expectation", made.rationale)
    assert (found.source, found.created, found.state) == ("alice", made.created, PENDING)


def test_the_order_is_that_of_arrival_whatever_the_clock_says(database: Database) -> None:
    made = [feedback(ONE, created=10**15 - n, id=f"{9 - n}") for n in range(5)]
    add(database, *made)
    add(database, feedback(OTHER, id="other"))
    with database.reading() as connection:
        assert ids(of_prediction(connection, ONE)) == ["9", "8", "7", "6", "5"]
        assert ids(of_prediction(connection, OTHER)) == ["other"]
        assert ids(pending(connection, 10)) == ["9", "8", "7", "6", "5", "other"]
        first = pending(connection, 2)
        assert ids(first) == ["9", "8"]
        assert ids(pending(connection, 2, after=first[-1].number)) == ["7", "6"]


def test_the_same_feedback_twice_is_kept_once(database: Database) -> None:
    made = feedback(ONE)
    add(database, made, made)
    with database.reading() as connection:
        assert ids(of_prediction(connection, ONE)) == [made.id]


def test_states(database: Database) -> None:
    made = [feedback(ONE) for _ in range(4)]
    add(database, *made)
    with database.begin() as connection:
        set_state(connection, made[0].id, ATTACHED)
        set_state(connection, made[1].id, SENDING)
        set_state(connection, made[2].id, FAILED, "refused")
        set_state(connection, made[3].id, PENDING, "away")
        set_state(connection, made[3].id, PENDING, "a\0" + "x" * 900)
    with database.reading() as connection:
        found = {item.id: item for item in of_prediction(connection, ONE)}
        # What was being sent is asked for again: its sender may have died.
        assert ids(pending(connection, 10)) == [made[1].id, made[3].id]
    assert [found[item.id].state for item in made] == [ATTACHED, SENDING, FAILED, PENDING]
    assert [found[item.id].attempts for item in made] == [0, 0, 1, 2]
    assert found[made[2].id].last_error == "refused"
    assert len(found[made[3].id].last_error or "") == 500
    assert found[made[0].id].last_error is None


def test_odd_texts_are_kept_as_far_as_they_can_be(database: Database) -> None:
    add(database, feedback(ONE, name="n" * 300, rationale="a\0b", source="s" * 300))
    with database.reading() as connection:
        (found,) = of_prediction(connection, ONE)
    assert (len(found.name), found.rationale, len(found.source or "")) == (128, "a\ufffdb", 128)


def test_which_predictions_have_feedback(database: Database) -> None:
    many = [new_id() for _ in range(2500)]
    add(database, *(feedback(id) for id in (many[0], many[1700], many[1700], OTHER)))
    with database.reading() as connection:
        assert has_feedback(connection, many) == {many[0], many[1700]}
        assert has_feedback(connection, []) == set()
        assert has_feedback(connection, iter([OTHER])) == {OTHER}


def test_looking_for_what_is_pending_does_not_read_all(sqlite: Database) -> None:
    with sqlite.reading() as connection:
        plan = connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT * FROM feedback WHERE state < 2 AND number > 5"
            " ORDER BY number LIMIT 10"
        ).all()
    assert len(plan) == 1
    assert "ix_feedback_open" in plan[0][3]
