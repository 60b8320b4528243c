"""Forgets jobs that ended long ago, and the blobs that no job names any more."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from services.core.settings import Settings
from services.jobs.blobs import Blobs
from services.ledger.database import job_upkeep
from services.ledger.database.opening import Database

_DAY = 86_400
_MICROSECONDS = 1_000_000
# A blob is kept before the row that names it is written.
_YOUNG_BLOB = 3600.0
_AT_ONCE = 500
# Jobs and blobs of one sweep, at most.
_MOST = 100_000


@dataclass(frozen=True, slots=True)
class Swept:
    """How many jobs were forgotten, and how many blobs went."""

    jobs: int = 0
    blobs: int = 0


def sweep(settings: Settings, database: Database, blobs: Blobs) -> Swept:
    """Forget what is older than JOB_KEEP_DAYS (0: nothing), then the blobs that nobody needs.

    Raises:
        LedgerUnavailableError: the database, or the store of blobs, is away.
    """
    forgotten = _forget(settings, database) if settings.job_keep_days else 0
    deleted = 0
    for names in _pieces(islice(blobs.older_than(_YOUNG_BLOB), _MOST)):
        with database.reading() as connection:
            named = job_upkeep.named(connection, names)
        # Who keeps one of them again just now makes it young.
        deleted += sum(blobs.delete(name, _YOUNG_BLOB) for name in names if name not in named)
    return Swept(forgotten, deleted)


def _forget(settings: Settings, database: Database) -> int:
    before = round((time.time() - settings.job_keep_days * _DAY) * _MICROSECONDS)
    count = 0
    while count < _MOST:
        with database.begin(durable=False) as connection:
            found = len(job_upkeep.forget(connection, before, _AT_ONCE))
        count += found
        if found < _AT_ONCE:
            break
    return count


def _pieces(names: Iterator[str]) -> Iterator[list[str]]:
    while piece := list(islice(names, _AT_ONCE)):
        yield piece
