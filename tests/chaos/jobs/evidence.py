"""What is on record of jobs: their rows, their counters, their webhooks and their predictions."""

from collections import Counter
from dataclasses import dataclass

from services.jobs.payloads import unpack_output
from services.ledger.database.job_rows import DEAD, JOB_FAILED, MOST_ATTEMPTS, SUCCEEDED, Job
from services.ledger.places import Places
from tests.chaos.jobs.crew import ChaosStand
from tests.chaos.records import evidence
from tests.support.jobs_stand import wait
from tests.support.patience import PATIENCE

_PAGE = 500


@dataclass(frozen=True)
class Ends:
    """Jobs by how they ended."""

    succeeded: dict[str, Job]
    dead: dict[str, Job]


def all_jobs(stand: ChaosStand) -> dict[str, Job]:
    """Return every job there is."""
    from services.ledger.database import job_lists

    found: dict[str, Job] = {}
    before: int | None = None
    while True:
        with stand.database.reading() as connection:
            page = job_lists.listing(connection, before=before, limit=_PAGE)
        if not page:
            return found
        found |= {job.id: job for job in page}
        before = page[-1].number


def open_jobs(stand: ChaosStand) -> list[str]:
    """Return those that have not ended."""
    return [job.id for job in all_jobs(stand).values() if not job.ended]


def unpublished(stand: ChaosStand) -> int:
    """Return how many jobs wait for the broker."""
    from services.ledger.database import job_upkeep

    with stand.database.reading() as connection:
        return job_upkeep.unpublished_count(connection)


def wait_ended(stand: ChaosStand, seconds: float) -> None:
    """Wait until nothing is to be done any more."""
    from services.ledger.database import job_upkeep

    def done() -> bool:
        with stand.database.reading() as connection:
            return not job_upkeep.depths(connection)

    wait(done, seconds)


def check_ends(stand: ChaosStand, wanted: dict[str, int]) -> Ends:
    """See that every job ended once, and with its own result.

    Args:
        wanted: the number that each job was given, by its id.
    """
    found = all_jobs(stand)
    assert set(found) == set(wanted)
    assert all(job.ended for job in found.values()), open_jobs(stand)
    succeeded = {id: job for id, job in found.items() if job.state == SUCCEEDED}
    dead = {id: job for id, job in found.items() if job.state == DEAD}
    assert len(succeeded) + len(dead) == len(found)
    for id, job in succeeded.items():
        output = unpack_output(job.result["output"], stand.blobs)
        assert output["echo"] == wanted[id]
        assert 1 <= job.attempts <= MOST_ATTEMPTS
        assert job.token >= job.attempts
    for job in dead.values():
        assert job.attempts == MOST_ATTEMPTS
        assert job.result is None
    # Counted in the very transaction in which a job ends: a second end would show here.
    totals = stand.totals()
    assert totals.get("jobs_succeeded_interactive", 0) == len(succeeded), totals
    assert totals.get("jobs_dead_interactive", 0) == len(dead), totals
    assert not totals.get("jobs_failed_interactive")
    return Ends(succeeded, dead)


def check_told(stand: ChaosStand, wanted: dict[str, int]) -> None:
    """See that each was to be told of once: that, too, is noted when a job ends."""
    rows = evidence.query(place(stand), "SELECT job, count(*) FROM deliveries GROUP BY job")
    assert dict(rows) == dict.fromkeys(wanted, 1)


def check_records(stand: ChaosStand, ids: set[str], seconds: float = PATIENCE) -> None:
    """See that each of these predictions is on record once, and no other is, once all are moved.

    The ledger's shipper must be running.
    """

    def moved() -> bool:
        return not in_rows(stand) and evidence.in_database(place(stand)) >= ids

    wait(moved, seconds)
    assert evidence.in_database(place(stand)) == ids
    assert evidence.in_minutes(place(stand)) == len(ids)
    journal = evidence.in_journal(Places(stand.settings.data_dir))
    assert journal == Counter(ids)


def records_anywhere(stand: ChaosStand) -> Counter[str]:
    """Count the records of each prediction, wherever they are: for when nobody moves them."""
    found = Counter(in_rows(stand))
    found.update(evidence.in_journal(Places(stand.settings.data_dir)))
    return found


def in_rows(stand: ChaosStand) -> list[str]:
    """Return the predictions whose records stand in the database still."""
    return [row[0] for row in evidence.query(place(stand), "SELECT id FROM job_records")]


def failed(stand: ChaosStand) -> dict[str, Job]:
    """Return the jobs that their handler let fail."""
    return {id: job for id, job in all_jobs(stand).items() if job.state == JOB_FAILED}


def place(stand: ChaosStand) -> evidence.Database:
    """Return the ledger's database, as `evidence` asks it."""
    return stand.settings.ledger_database_url or Places(stand.settings.data_dir).database
