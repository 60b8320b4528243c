"""What people said about predictions: kept at once, taken to MLflow in the order of arrival."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select, text, update

from services.ledger.database.statements import clean, insert, pieces
from services.ledger.database.tables import OPEN, PENDING
from services.ledger.database.tables import feedback as table

# Of a rationale, in characters.
_LONGEST = 1_000_000
# The source of what follows from an expectation, as nobody said it.
DERIVED = "slipway"


@dataclass(frozen=True, slots=True)
class Feedback:
    """One judgement of one prediction.

    Attributes:
        id: a UUID.
        name: what was judged (`correct`, `rating`).
        kind: `feedback` for a judgement, `expectation` for what would have been right.
        value: any JSON value.
        rationale: why, in words.
        source: who said so.
        created: microseconds since 1970 (UTC).
        state: `PENDING`, `SENDING`, `ATTACHED` or `FAILED` of `tables`.
        attempts: how many went wrong.
        number: its place in the order of arrival; given by the database.
    """

    id: str
    prediction_id: str
    name: str
    kind: str
    value: Any
    rationale: str | None
    source: str | None
    created: int
    state: int = PENDING
    attempts: int = 0
    last_error: str | None = None
    number: int = 0


def add_feedback(connection: Connection, feedback: Feedback) -> None:
    """Keep a feedback; nothing happens where its id is there already."""
    connection.execute(
        insert(connection, table)
        .values(
            id=feedback.id,
            prediction_id=feedback.prediction_id,
            name=clean(feedback.name, 128),
            kind=feedback.kind,
            value=feedback.value,
            rationale=clean(feedback.rationale, _LONGEST),
            source=clean(feedback.source, 128),
            created=feedback.created,
            state=feedback.state,
            attempts=feedback.attempts,
            last_error=clean(feedback.last_error, 500),
        )
        .on_conflict_do_nothing(index_elements=[table.c.id])
    )


def of_prediction(connection: Connection, prediction_id: str) -> list[Feedback]:
    """Return all feedback of a prediction, in the order of arrival."""
    rows = connection.execute(
        select(table).where(table.c.prediction_id == prediction_id).order_by(table.c.number)
    )
    return [Feedback(**row) for row in rows.mappings()]


def pending(connection: Connection, limit: int, *, after: int = 0) -> list[Feedback]:
    """Return what is not attached yet, in the order of arrival.

    `SENDING` is among it: whoever was sending may have died, so MLflow must be asked first.

    Args:
        after: only what arrived after this `number`, for the next page.
    """
    rows = connection.execute(
        select(table)
        .where(text(OPEN), table.c.number > after)
        .order_by(table.c.number)
        .limit(limit)
    )
    return [Feedback(**row) for row in rows.mappings()]


def set_state(connection: Connection, id: str, state: int, error: str | None = None) -> None:
    """Note how far a feedback came; an error counts as an attempt that went wrong."""
    values: dict[str, Any] = {
        "state": state,
        "last_error": clean(error, 500),
    }
    if error is not None:
        values["attempts"] = table.c.attempts + 1
    connection.execute(update(table).where(table.c.id == id).values(**values))


def has_feedback(connection: Connection, ids: Iterable[str]) -> set[str]:
    """Return those of the predictions that somebody said something about."""
    found: set[str] = set()
    for piece in pieces(ids):
        rows = connection.execute(
            select(table.c.prediction_id).where(table.c.prediction_id.in_(piece)).distinct()
        )
        found.update(rows.scalars())
    return found
