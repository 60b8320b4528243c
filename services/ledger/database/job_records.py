"""Records of predictions that jobs made: written with the result, on their way into a journal."""

from collections.abc import Iterable

from sqlalchemy import Connection, select

from services.ledger.database.job_tables import job_records
from services.ledger.database.statements import insert, pieces

# Id of the prediction, when (microseconds since 1970), id of the job, the record's JSON.
NewRecord = tuple[str, int, str | None, bytes]
_ROWS = 100


def add(connection: Connection, records: Iterable[NewRecord]) -> None:
    """Keep records; what is there under an id already stays as it is."""
    values = [
        {"id": id, "time": time, "job": job, "payload": payload}
        for id, time, job, payload in records
    ]
    for piece in pieces(values, _ROWS):
        connection.execute(
            insert(connection, job_records).values(list(piece)).on_conflict_do_nothing()
        )


def get(connection: Connection, id: str) -> bytes | None:
    """Return a record that has not moved on yet."""
    return connection.scalar(select(job_records.c.payload).where(job_records.c.id == id))
