"""Statements that every job needs, built once: to build one costs more than to run it."""

from sqlalchemy import BigInteger, BindParameter, and_, bindparam, func, or_, select, text, update

from services.ledger.database.job_rows import OPEN_JOB, QUEUED, RUNNING
from services.ledger.database.job_tables import jobs

_OPEN = text(OPEN_JOB)
_WANTED: BindParameter[str] = bindparam("wanted")
_NOW = bindparam("now", type_=BigInteger)

# `wanted`: an id.
GET = select(jobs).where(jobs.c.id == _WANTED).limit(1)

# Nobody has it, and it may still be begun.
_ALIVE = and_(
    _OPEN,
    jobs.c.state == QUEUED,
    jobs.c.cancel.is_(False),
    or_(jobs.c.expires.is_(None), jobs.c.expires > _NOW),
)
_LEASE = (
    update(jobs)
    .values(
        state=RUNNING,
        token=jobs.c.token + 1,
        attempts=jobs.c.attempts + 1,
        worker=bindparam("holder"),
        leased_until=bindparam("until"),
        started=func.coalesce(jobs.c.started, _NOW),
    )
    .returning(jobs)
)
# `wanted` (an id), `now`, `until`, `holder`.
TAKE = _LEASE.where(_ALIVE, jobs.c.id == _WANTED)
# `others` (numbers) in the place of `wanted`. The condition again: on PostgreSQL others do the
# same at once.
TAKE_OTHERS = _LEASE.where(_ALIVE, jobs.c.number.in_(bindparam("others", expanding=True)))
# `now`, `most`, and what the others have in common with a job.
ALIKE = (
    select(jobs.c.number, jobs.c.options)
    .where(
        _ALIVE,
        jobs.c.queue == bindparam("queue"),
        jobs.c.task == bindparam("task"),
        jobs.c.subject == bindparam("subject"),
        jobs.c.attempts == 0,
    )
    .order_by(jobs.c.number)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
