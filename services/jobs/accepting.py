"""What is accepted of many requests: those there is room for, and those that were there before."""

from collections.abc import Sequence

from services.core.errors import ConflictError, SlipwayError
from services.jobs.limits import Limits
from services.ledger.database import job_adding
from services.ledger.database.job_rows import Job, NewJob
from services.ledger.database.statements import Connection

Answer = tuple[Job, bool] | SlipwayError


def accept(connection: Connection, limits: Limits, new: Sequence[NewJob]) -> list[Answer]:
    """Accept jobs in one transaction; return for each the job and whether it is new, or why not.

    A request that was accepted before is answered even where there is no room for a new one.
    """
    refused = [limits.refusal(one.queue) for one in new]
    fitting = [one for one, why in zip(new, refused, strict=True) if why is None]
    others = [one for one, why in zip(new, refused, strict=True) if why is not None]
    added = iter(job_adding.add_all(connection, fitting) if fitting else ())
    known = iter(job_adding.find_all(connection, others) if others else ())
    answers: list[Answer] = []
    for why in refused:
        if why is None:
            answers.append(next(added))
            continue
        found = next(known)
        if found is None:
            answers.append(why)
        else:
            answers.append(found if isinstance(found, ConflictError) else (found, False))
    limits.forget(_known(answers, refused))
    return answers


def _known(answers: Sequence[Answer], refused: Sequence[SlipwayError | None]) -> list[Job]:
    """Return the jobs for which room was taken that nobody needs."""
    return [
        answer[0]
        for answer, why in zip(answers, refused, strict=True)
        if why is None and not isinstance(answer, SlipwayError) and not answer[1]
    ]
