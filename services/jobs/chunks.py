"""A finished chunk of a batch job, with the records of its predictions: all of it, or nothing."""

from collections.abc import Sequence
from typing import Any

from services.ledger.database import job_chunks, job_records
from services.ledger.database.job_chunks import Chunk
from services.ledger.database.job_records import NewRecord
from services.ledger.questions import Connection


def finish(
    connection: "Connection",
    job: str,
    token: int,
    chunk: Chunk,
    records: Sequence[NewRecord],
    progress: Any,
) -> bool:
    """Write a chunk down; False where the lease was lost: then nothing is written.

    Its blob must lie in the store already. `progress` is how far the job is then.
    """
    if not job_chunks.add(connection, job, token, chunk, progress):
        return False
    job_records.add(connection, records)
    return True
