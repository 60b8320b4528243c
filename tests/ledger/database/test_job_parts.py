"""What belongs to jobs: many accepted and taken at once, webhooks, leases, workers, counters."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from services.core.errors import ConflictError
from services.core.ids import new_id
from services.ledger.database import (
    deliveries,
    job_adding,
    job_lists,
    job_records,
    job_totals,
    job_upkeep,
    jobs,
    leases,
    workers,
)
from services.ledger.database.job_rows import CANCELED, EXPIRED, QUEUED, RUNNING, Job, NewJob
from services.ledger.database.opening import Database

NOW = 1_763_740_800_000_000
SECOND = 1_000_000


def wanted(**values: Any) -> NewJob:
    known: dict[str, Any] = {
        "id": new_id(), "queue": "interactive", "task": "predict", "subject": "adder",
        "fingerprint": "f" * 64, "options": {"version": "1"}, "created": NOW,
    }  # fmt: skip
    return NewJob(**(known | values))


def accept(database: Database, *new: NewJob) -> list[Job]:
    with database.begin() as connection:
        answers = job_adding.add_all(connection, new)
    assert not any(isinstance(answer, ConflictError) for answer in answers)
    return [answer[0] for answer in answers if not isinstance(answer, ConflictError)]


def take(database: Database, id: str, more: int, now: int = NOW) -> list[str]:
    with database.begin() as connection:
        taken = jobs.take(connection, id, "me", now, now + SECOND, more)
    assert all((job.state, job.token) == (RUNNING, job.attempts) for job in taken)
    return [job.id for job in taken]


def test_many_are_accepted_together_each_with_its_own_answer(database: Database) -> None:
    first, other = accept(database, wanted(key="a\nold"), wanted())
    same, clash = wanted(key="a\nnew"), wanted(id=other.id, fingerprint="0" * 64)
    new = [wanted() for _ in range(450)]
    with database.begin() as connection:
        answers = job_adding.add_all(
            connection,
            [
                *new, same, wanted(key="a\nnew"), wanted(key="a\nnew", fingerprint="1" * 64),
                wanted(key="a\nold"), clash, wanted(id=other.id, key="a\nold"), wanted(id=other.id),
                wanted(id=first.id, caller="somebody"),
            ],
        )  # fmt: skip
        looked = job_adding.find_all(connection, [wanted(key="a\nold"), wanted(), clash])
    made = [answer for answer in answers[:450] if not isinstance(answer, ConflictError)]
    assert [job.id for job, is_new in made if is_new] == [one.id for one in new]
    by_time = sorted(made, key=lambda answer: answer[0].id)
    assert by_time == sorted(made, key=lambda answer: answer[0].number)
    told = [
        answer.where if isinstance(answer, ConflictError) else (answer[0].id, answer[1])
        for answer in answers[450:]
    ]
    assert told == [
        (same.id, True), (same.id, False), "Idempotency-Key", (first.id, False), "id",
        "Idempotency-Key", (other.id, False), "id",
    ]  # fmt: skip
    assert looked[0] == first and looked[1] is None and isinstance(looked[2], ConflictError)


def test_two_processes_accept_the_same_keys_at_once(database: Database) -> None:
    keys = [f"a\n{n}" for n in range(40)]

    def ask(turn: int) -> int:
        some = keys if turn % 2 else keys[::-1]
        with database.begin() as connection:
            answers = job_adding.add_all(connection, [wanted(key=key) for key in some])
        return sum(not isinstance(a, ConflictError) and a[1] for a in answers)

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(ask, range(12))) == len(keys)


def test_nothing_is_null_and_not_the_word(database: Database) -> None:
    (job,) = accept(database, wanted())
    with database.reading() as connection:
        found = connection.exec_driver_sql("SELECT webhook, result, error, progress FROM jobs")
        assert tuple(found.one()) == (None, None, None, None)
    assert (job.webhook, job.result, job.error, job.mode) == (None, None, None, "async")


def test_others_that_are_alike_are_taken_along(database: Database) -> None:
    first, second, third, other, model, stage, batch, begun = accept(
        database,
        wanted(), wanted(), wanted(),
        wanted(options={"version": "2"}), wanted(subject="else"),
        wanted(options={"version": "1", "stage": "staging"}), wanted(queue="batch"), wanted(),
    )  # fmt: skip
    assert take(database, begun.id, 0) == [begun.id]
    with database.begin() as connection:
        job_upkeep.reconcile(connection, NOW + 2 * SECOND)
        jobs.cancel(connection, second.id, NOW)
    assert take(database, third.id, 10) == [third.id, first.id]
    assert take(database, third.id, 10) == []
    # One that was begun before shares its fate with nobody.
    late = accept(database, wanted(), wanted())
    assert take(database, begun.id, 10, NOW + 3 * SECOND) == [begun.id]
    assert take(database, late[1].id, 1) == [late[1].id, late[0].id]
    with database.reading() as connection:
        for untouched in (other, model, stage, batch):
            found = jobs.get(connection, untouched.id)
            assert found is not None and found.state == QUEUED


def test_what_many_take_at_once_is_taken_once(database: Database) -> None:
    some = accept(database, *(wanted() for _ in range(60)))
    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(lambda job: take(database, job.id, 7), some))
    flat = [id for ids in taken for id in ids]
    assert len(flat) == len(set(flat)) == 60


def test_given_back_when_it_was_to_be_canceled(database: Database) -> None:
    (job,) = accept(database, wanted())
    with database.begin() as connection:
        (held,) = jobs.take(connection, job.id, "me", NOW, NOW + SECOND)
        jobs.cancel(connection, job.id, NOW)
        assert jobs.hand_back(connection, job.id, held.token)
    assert take(database, job.id, 0) == []
    with database.begin() as connection:
        assert job_upkeep.due(connection, NOW)
        done = job_upkeep.reconcile(connection, NOW)
    assert (done.canceled, [one.state for one in done.ended]) == (1, [CANCELED])


def test_upkeep_is_done_a_piece_at_a_time(database: Database) -> None:
    accept(database, *(wanted(expires=NOW) for _ in range(5)))
    found = []
    for _ in range(3):
        with database.begin() as connection:
            found.append(job_upkeep.reconcile(connection, NOW, limit=2).expired)
    assert found == [2, 2, 1]
    with database.reading() as connection:
        assert not job_upkeep.due(connection, NOW)
        assert job_lists.count(connection, state=EXPIRED) == 5
        assert job_upkeep.waiting(connection) == {}


def test_webhooks_are_taken_tried_and_done_with(database: Database) -> None:
    with database.begin() as connection:
        ids = [
            deliveries.add(connection, "job", event, "https://a.b", "{}", NOW + n)
            for n, event in enumerate(("start", "progress", "completed"))
        ]
        assert deliveries.due(connection, NOW - 1, NOW, 10) == []
        first, second = deliveries.due(connection, NOW + 9, NOW + SECOND, 2)
        assert (first.id, first.attempts, second.id) == (ids[0], 1, ids[1])
        # Nobody else sends them meanwhile.
        assert [one.id for one in deliveries.due(connection, NOW + 9, NOW + SECOND, 9)] == ids[2:]
        deliveries.done(connection, first.id)
        deliveries.again(connection, second.id, NOW + 5 * SECOND, "status 500")
        deliveries.given_up(connection, ids[2], "\0status 410")
        assert deliveries.pending(connection) == 1
        (again,) = deliveries.due(connection, NOW + 5 * SECOND, NOW + 6 * SECOND, 9)
        assert (again.id, again.attempts, again.last_error) == (ids[1], 2, "status 500")
        # One whose sender died comes again.
        assert len(deliveries.due(connection, NOW + 6 * SECOND, NOW + 9 * SECOND, 9)) == 1
        assert [one.event for one in deliveries.of_job(connection, "job")] == [
            "start", "progress", "completed",
        ]  # fmt: skip


def test_one_at_a_time_holds_a_lease(database: Database) -> None:
    def acquire(holder: str, now: int) -> int | None:
        with database.begin() as connection:
            return leases.acquire(connection, "beat", holder, now, now + SECOND)

    assert acquire("a", NOW) == 1
    assert acquire("b", NOW + SECOND - 1) is None
    assert acquire("a", NOW + 10) == 1
    assert acquire("b", NOW + SECOND + 10) == 2
    assert acquire("a", NOW + SECOND + 11) is None
    with database.begin() as connection:
        leases.release(connection, "beat", "a")
    assert acquire("a", NOW + SECOND + 12) is None
    with database.begin() as connection:
        leases.release(connection, "beat", "b")
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda name: acquire(name, NOW + 5 * SECOND), "cdef"))
    assert sorted(token for token in got if token is not None) == [3]


def test_workers_and_checks(database: Database) -> None:
    with database.begin() as connection:
        for seen in (NOW, NOW + SECOND):
            workers.seen(connection, workers.Worker("w", "batch", "here", 7, NOW, seen, 1))
        workers.seen(connection, workers.Worker("old", "batch", "here", 8, NOW, NOW - SECOND))
        (found,) = workers.present(connection, NOW)
        assert (found.name, found.seen, found.running) == ("w", NOW + SECOND, 1)
        assert workers.forget(connection, NOW) == 1
        workers.gone(connection, "w")
        assert workers.present(connection, 0) == []
        workers.checked(connection, "redis", "healthy", None, 0.25, NOW)
        workers.checked(connection, "redis", "unhealthy", "x" * 600, 0.5, NOW + 1)
        (check,) = workers.all_checks(connection)
    assert (check.status, check.seconds, check.checked) == ("unhealthy", 0.5, NOW + 1)
    assert check.detail == "x" * 500


def test_counters_add_up_whoever_counts(database: Database) -> None:
    def count(by: int) -> None:
        with database.begin() as connection:
            job_totals.count(connection, {"b": 2, "a": 1, "none": 0}, f"worker-{by}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(20)))
    with database.reading() as connection:
        assert job_totals.read(connection) == {"a": 20, "b": 40}


def test_records_are_kept_once(database: Database) -> None:
    with database.begin() as connection:
        job_records.add(connection, [])
        job_records.add(connection, [("p-1", NOW, "job", b"one"), ("p-2", NOW, None, b"two")])
        job_records.add(connection, [("p-1", NOW, "job", b"other")])
        assert job_records.get(connection, "p-1") == b"one"
        assert job_records.get(connection, "p-3") is None
