"""`slipway jobs`: looking at jobs and changing them, in a real database."""

import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from services.core import embedded
from services.core.ids import new_id
from services.core.settings import get_settings, load_settings
from services.jobs.names import BATCH, INTERACTIVE, PREDICT, QUEUES, TRAIN, TRAINING
from services.ledger.database import jobs
from services.ledger.database.job_rows import (
    CANCELED,
    DEAD,
    JOB_FAILED,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    Job,
)
from services.ledger.database.job_tables import jobs as table
from services.ledger.database.opening import Database, open_database
from tests.cli.conftest import Command
from tests.jobs import rows
from tests.support.redis_server import RedisServer, running_redis

NOW = 1_795_000_000_000_000
LOST = {"code": "worker_lost", "message": "The worker died or stood still, 3 times."}


@pytest.fixture
def database() -> Iterator[Database]:
    found = open_database(load_settings())
    yield found
    found.close()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


def make(
    database: Database, queue: str = INTERACTIVE, task: str = PREDICT, **values: object
) -> Job:
    with database.begin() as connection:
        return rows.add(connection, queue, task, **values)


def state(database: Database, job: Job) -> int:
    with database.reading() as connection:
        found = jobs.get(connection, job.id)
    assert found is not None
    return found.state


def test_before_there_is_anything(slipway: Command, tmp_path: Path) -> None:
    done = slipway("jobs", "list")
    assert (done.code, done.out, done.err) == (0, "", "There are no such jobs here.\n")
    assert slipway("jobs", "queues").code == 0
    assert slipway("jobs", "workers").code == 0
    assert slipway("jobs", "retry", "--dead").code == 0
    for command in ("show", "wait", "cancel", "retry"):
        done = slipway("jobs", command, new_id())
        assert done.code == 1
        assert "no such job" in done.err
    done = slipway("jobs", "check")
    assert done.code == 1
    assert "No worker is there" in done.err
    assert not (tmp_path / "data").exists(), "looking makes no database"


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "--status", "lost"),
        ("list", "--queue", "fast"),
        ("list", "-n", "0"),
        ("show", "7"),
        ("wait", "7"),
        ("retry",),
        ("retry", "--queue", "batch"),
        ("retry", "0191e9a2-0000-7000-8000-000000000000", "--dead"),
        ("retry", "0191e9a2-0000-7000-8000-000000000000", "--queue", "batch"),
    ],
)
def test_what_cannot_be_meant(slipway: Command, arguments: tuple[str, ...]) -> None:
    done = slipway("jobs", *arguments)
    assert done.code == 2
    assert done.err.startswith("error: ") and done.err.count("\n") == 1


def test_jobs_are_listed_the_newest_first(slipway: Command, database: Database) -> None:
    made = [
        make(database),
        make(database, state=SUCCEEDED, started=NOW, completed=NOW + 42_000, attempts=1),
        make(database, TRAINING, TRAIN, state=DEAD, attempts=3, error=LOST),
        make(database, state=RUNNING, token=1, cancel=True, started=NOW),
    ]
    lines = slipway("jobs", "list").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [job.id for job in reversed(made)]
    assert "running, to be canceled" in lines[1]
    assert re.search(r"training +train +digits +dead +3", lines[2])
    assert re.search(r"interactive +predict +digits +succeeded +1 +42 ms", lines[3])
    assert re.search(r"queued +0 +waits \d+ s", lines[4])
    for arguments, wanted in (
        (("--status", "dead"), made[2]),
        (("--status", "processing"), made[3]),
        (("--status", "starting", "--queue", INTERACTIVE, "--model", "digits"), made[0]),
        (("--task", "train"), made[2]),
        (("-n", "1"), made[3]),
    ):
        found = json.loads(slipway("jobs", "list", "--json", *arguments).out)
        assert [job["id"] for job in found["jobs"]] == [wanted.id], arguments


def test_everything_about_one(slipway: Command, database: Database) -> None:
    job = make(
        database, state=DEAD, attempts=3, error=LOST, caller="a\x1b[31m", payload="abc.bin",
        started=NOW, completed=NOW + 90_000_000, progress={"done": 3}, options={"version": "2"},
    )  # fmt: skip
    done = slipway("jobs", "show", job.id.upper())
    assert done.code == 0
    for pattern in (
        r"status +dead 90 s", r"attempts +3", r"input +blob abc\.bin", r'progress +\{"done": 3\}',
        r"error +worker_lost: The worker died", r"completed +2026-11-18 \d\d:\d\d:",
    ):  # fmt: skip
        assert re.search(pattern, done.out), pattern
    assert "\x1b" not in done.out
    assert "webhook" not in done.out
    found = json.loads(slipway("jobs", "show", job.id, "--json").out)
    assert (found["status"], found["error"], found["started_at"]) == ("dead", LOST, NOW / 1e6)


def test_waiting_for_the_end(slipway: Command, database: Database) -> None:
    job, failed = make(database), make(database, state=JOB_FAILED, error=LOST)
    done = slipway("jobs", "wait", job.id, "--timeout", "0.3")
    assert done.code == 1
    assert "After 0.3 s it is queued." in done.err

    def end() -> None:
        time.sleep(0.5)
        with database.begin() as connection:
            ended = update(table).where(table.c.id == job.id)
            connection.execute(ended.values(state=SUCCEEDED, started=NOW, completed=NOW + 7000))

    thread = threading.Thread(target=end)
    thread.start()
    done = slipway("jobs", "wait", job.id, "--timeout", "60")
    thread.join()
    assert (done.code, done.out) == (0, f"{job.id} succeeded (7 ms)\n")
    done = slipway("jobs", "wait", failed.id)
    assert done.code == 1
    assert done.out.startswith(f"{failed.id} failed: worker_lost: ")


def test_a_job_is_canceled(slipway: Command, database: Database) -> None:
    queued, running = make(database), make(database, state=RUNNING, token=1, started=NOW)
    ended = make(database, state=SUCCEEDED, started=NOW, completed=NOW)
    assert slipway("jobs", "cancel", queued.id).out == f"{queued.id} canceled\n"
    assert state(database, queued) == CANCELED
    done = slipway("jobs", "cancel", running.id)
    assert (done.code, done.out) == (0, f"{running.id} running, to be canceled\n")
    done = slipway("jobs", "cancel", ended.id)
    assert (done.code, done.err) == (1, "It had ended before.\n")
    assert state(database, ended) == SUCCEEDED


def test_one_is_tried_again(slipway: Command, database: Database) -> None:
    dead = make(database, state=DEAD, attempts=3, error=LOST, completed=NOW)
    fine = make(database, state=SUCCEEDED, started=NOW, completed=NOW)
    done = slipway("jobs", "retry", dead.id)
    assert (done.code, done.out) == (0, f"{dead.id} queued\n")
    with database.reading() as connection:
        found = jobs.get(connection, dead.id)
    assert found is not None
    assert (found.state, found.attempts, found.error) == (QUEUED, 0, None)
    done = slipway("jobs", "retry", fine.id)
    assert done.code == 1
    assert state(database, fine) == SUCCEEDED


def test_all_dead_letters_are_tried_again(slipway: Command, database: Database) -> None:
    made = [make(database, BATCH, state=DEAD, error=LOST, completed=NOW) for _ in range(3)]
    other = make(database, TRAINING, state=DEAD, error=LOST, completed=NOW)
    failed = make(database, BATCH, state=JOB_FAILED, completed=NOW)
    done = slipway("jobs", "retry", "--dead", "--queue", BATCH)
    assert done.code == 0
    assert done.out.split() == [word for job in made for word in (job.id, "queued")]
    assert state(database, other) == DEAD
    assert slipway("jobs", "retry", "--dead").code == 0
    assert state(database, other) == QUEUED
    assert state(database, failed) == JOB_FAILED, "it failed by itself, and would again"
    assert slipway("jobs", "retry", "--dead").err == "No job is dead.\n"


def test_queues_and_workers(slipway: Command, database: Database) -> None:
    make(database, published=round(time.time() * 1e6))
    make(database, created=round((time.time() - 7200) * 1e6))
    make(database, BATCH, state=RUNNING, token=1)
    make(database, TRAINING, state=DEAD, error=LOST)
    with database.begin() as connection:
        rows.worker(connection, INTERACTIVE, running=1)
        rows.worker(connection, BATCH, ago=3600)
    lines = slipway("jobs", "queues").out.splitlines()
    assert re.match(r"interactive +2 +2\.0 h +1 +0 +0 +1", lines[1])
    assert re.match(r"batch +0 +0 +1 +0 +0", lines[2])
    assert re.match(r"training +0 +0 +0 +1 +0", lines[3])
    found = json.loads(slipway("jobs", "queues", "--json").out)["queues"]
    assert [row["queue"] for row in found] == list(QUEUES)
    assert found[0]["oldest_seconds"] == pytest.approx(7200, abs=60)
    lines = slipway("jobs", "workers").out.splitlines()
    assert len(lines) == 2
    assert re.match(r"interactive +interactive@here-\S+ +here +42 +1 ", lines[1])
    found = json.loads(slipway("jobs", "workers", "--json").out)["workers"]
    assert [(one["queue"], one["running"]) for one in found] == [(INTERACTIVE, 1)]


def test_whether_all_is_well(
    slipway: Command, database: Database, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.begin() as connection:
        for queue in (*QUEUES, "beat"):
            rows.worker(connection, queue)
    monkeypatch.setenv("REDIS_URL", redis.url)
    done = slipway("jobs", "check")
    assert (done.code, done.err) == (0, "")
    assert re.search(r"redis +healthy", done.out)
    redis.kill()
    done = slipway("jobs", "check", "--json")
    redis.start()
    assert done.code == 1
    assert json.loads(done.out)["services"]["redis"] == "unavailable"
    monkeypatch.setenv("JOBS", "false")
    get_settings.cache_clear()
    done = slipway("jobs", "check")
    assert (done.code, done.out) == (0, "")
    assert "JOBS=false" in done.err


def test_the_redis_of_slipway_run_is_found(
    slipway: Command, database: Database, redis: RedisServer
) -> None:
    data_dir = load_settings().data_dir
    assert "redis" in json.loads(slipway("jobs", "check", "--json").out)["services"]
    embedded.announce(data_dir, redis.url, embedded.REDIS)
    done = slipway("jobs", "check", "--json")
    assert json.loads(done.out)["services"]["redis"] == "healthy"
    embedded.withdraw(data_dir, embedded.REDIS)
    done = slipway("jobs", "check", "--json")
    assert json.loads(done.out)["services"]["redis"] == "unknown"
