"""What a gateway asks the database: all about one prediction, and to keep what is said of it.

Imported by the thread that asks first: it brings half a second of libraries.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid5

from sqlalchemy import Connection as Connection

from services.core.errors import ConflictError
from services.ledger.database import index, job_records, jobs, lookup, runs
from services.ledger.database.feedback import Feedback, add_feedback, of_prediction
from services.ledger.database.job_rows import Job
from services.ledger.database.tables import SENT
from services.ledger.lookup import Found
from services.ledger.records import day, parse

# Entries about one prediction.
MOST_ENTRIES = 100


@dataclass(frozen=True, slots=True)
class Looked:
    """What the database says of an id.

    Attributes:
        found: None where the prediction is not in the database (yet, or any more).
        indexed: how far segments are indexed, in bytes, by writer and number.
        feedback: it may be there before the prediction.
        job: that makes the prediction, or made it; None where it was made at once.
    """

    found: Found | None
    indexed: Mapping[tuple[str, int], int]
    feedback: list[Feedback]
    job: Job | None = None


def look(connection: Connection, prediction_id: str) -> Looked:
    """Return what is known of a prediction."""
    # In this order: what is indexed in between is found by one of the two.
    progress = index.all_progress(connection)
    indexed = {segment: one.indexed_to for segment, one in progress.items()}
    job = jobs.get(connection, prediction_id)
    # A job's record leaves for the index, and is there before it is gone from here.
    waiting = job_records.get(connection, prediction_id)
    row = lookup.find(connection, prediction_id)
    feedback = of_prediction(connection, prediction_id)
    if row is None:
        found = None if waiting is None else Found(parse(waiting), feedback=feedback)
        return Looked(found, indexed, feedback, job)
    record = parse(row.record)
    run = runs.serving_run(connection, record.model, record.version, day(record))
    return Looked(Found(record, run, row.trace_state == SENT, feedback), indexed, feedback, job)


def keep(connection: Connection, given: Sequence[Feedback]) -> tuple[list[Feedback], bool]:
    """Write entries down; return them as they stand, and whether any of them is new.

    Raises:
        ConflictError: an id stands for something else, or there are too many. Nothing is kept if
            it leaves the transaction.
    """
    prediction_id = given[0].prediction_id
    known = {one.id for one in of_prediction(connection, prediction_id)}
    ids = {one.id for one in given}
    before = known & {given[0].id, second_id(given[0].id)}
    if before and before != ids:
        raise _other()
    if not before and len(known) + len(ids) > MOST_ENTRIES:
        raise ConflictError(
            "There is much feedback on this prediction already.",
            where="id",
            expected=f"at most {MOST_ENTRIES} entries",
        )
    for one in given:
        add_feedback(connection, one)
    stored = {one.id: one for one in of_prediction(connection, prediction_id)}
    for one in given:
        if one.id not in stored or _content(stored[one.id]) != _content(one):
            raise _other()
    # Another request with this id may have been quicker.
    return [stored[one.id] for one in given], stored[given[0].id].created == given[0].created


def second_id(first: str) -> str:
    """Return the id of the second entry of a request, whose first one has this id."""
    return str(uuid5(UUID(first), "expectation"))


def _other() -> ConflictError:
    return ConflictError(
        "Other feedback has this id.",
        where="id",
        expected="the same body as before, or another id",
    )


def _content(one: Feedback) -> bytes:
    said = [one.kind, one.name, one.value, one.rationale, one.source]
    # Python's own: its integers have no end.
    return json.dumps(said, sort_keys=True).encode()
