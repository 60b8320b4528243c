"""`GET /predictions` of what has no record: predictions that wait, that run, or that expired.

They come from the jobs' table, newest accepted first, and a page ends at a job's number: whatever
comes or ends in between, no page shows a job twice, and none that stays as it is gets lost.
"""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from services.gateway import job_words
from services.gateway.job_documents import summary
from services.gateway.prediction_filters import Cursor
from services.jobs.names import PREDICT
from services.ledger.database.job_rows import Job

if TYPE_CHECKING:
    from services.ledger.questions import Connection

UNRECORDED = frozenset({job_words.STARTING, job_words.PROCESSING, job_words.EXPIRED})
# Rows that are looked at for one page; what is beyond is for the next one.
_MOST_LOOKED_AT = 2000
_PIECE = 200


def page(
    connection: "Connection",
    *,
    status: str,
    model: str | None,
    version: str | None,
    mode: str | None,
    caller: str | None,
    since: int | None,
    until: int | None,
    after: Cursor | None,
    limit: int,
) -> tuple[list[dict[str, Any]], Cursor | None]:
    """Return a page, and where the next one begins (None: there is none).

    A page may hold fewer than `limit`, or none, and still have a next one: so many did not fit.
    """
    from services.ledger.database import job_lists

    before = None if after is None else after[0]
    found: list[Job] = []
    last: Job | None = None
    looked = 0
    while looked < _MOST_LOOKED_AT:
        rows = job_lists.listing(
            connection,
            task=PREDICT,
            state=job_words.state_of(status),
            subject=model,
            caller=caller,
            since=since,
            before=before,
            limit=_PIECE,
        )
        for job in rows:
            if len(found) == limit:
                return [summary(one) for one in found], _cursor(last)
            last = job
            if _fits(job, version, mode, until):
                found.append(job)
        if len(rows) < _PIECE:
            return [summary(one) for one in found], None
        looked += len(rows)
        before = rows[-1].number
    return [summary(one) for one in found], _cursor(last)


def _fits(job: Job, version: str | None, mode: str | None, until: int | None) -> bool:
    return (
        (version is None or job.options.get("version") == version)
        and (mode is None or job.mode == mode)
        and (until is None or job.created < until)
    )


def _cursor(last: Job | None) -> Cursor | None:
    return None if last is None else (last.number, str(UUID(last.id)))
