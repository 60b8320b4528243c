"""What is seen of jobs, judged and counted: from a real database and a real Redis."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from services.core.settings import Settings
from services.jobs import health
from services.jobs.collector import JobCollector
from services.jobs.names import BATCH, INTERACTIVE, QUEUES, TRAINING
from services.jobs.watch import JobWatch, Sight
from services.ledger.database import job_totals, workers
from services.ledger.database.job_rows import DEAD, RUNNING
from services.ledger.database.opening import Database, open_database
from services.monitoring.service_collector import ServiceCollector
from tests.conftest import MakeSettings
from tests.jobs import rows
from tests.support.patience import AT_ONCE, PATIENCE
from tests.support.redis_server import RedisServer, running_redis


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def settings(make_settings: MakeSettings, redis: RedisServer) -> Settings:
    return make_settings(redis_url=redis.url)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    found = open_database(settings)
    yield found
    found.close()


@pytest.fixture
def looking(settings: Settings, database: Database) -> Iterator[JobWatch]:
    found = JobWatch(settings)
    yield found
    found.close()


def everybody(database: Database, *queues: str) -> None:
    with database.begin() as connection:
        for queue in queues:
            rows.worker(connection, queue)


def metrics(looking: JobWatch) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(JobCollector(looking))
    registry.register(ServiceCollector(looking, lambda: None))
    return registry


def test_all_is_well(looking: JobWatch, database: Database) -> None:
    everybody(database, *QUEUES, INTERACTIVE, health.BEAT)
    verdict = health.judge(looking.look(PATIENCE))
    assert verdict.reason is None
    assert verdict.services == dict.fromkeys(("redis", "database", "workers", "beat"), "healthy")
    assert verdict.workers == {INTERACTIVE: 2, BATCH: 1, TRAINING: 1, "upkeep": 1}


def test_nothing_is_said_before_anybody_looked(looking: JobWatch) -> None:
    verdict = health.judge(Sight())
    assert set(verdict.services.values()) == {"unknown"}
    assert (verdict.workers, verdict.reason) == ({}, None)
    began = time.monotonic()
    looking.look(0.02)
    assert time.monotonic() - began < AT_ONCE, "the first look imports and opens the database"


@pytest.mark.parametrize(
    ("there", "waits", "reason"),
    [
        ((), (), "No worker is there"),
        ((health.BEAT,), (BATCH,), "No worker is there"),
        ((INTERACTIVE, health.BEAT), (BATCH, TRAINING), "the jobs that wait in batch, training."),
        ((INTERACTIVE,), (INTERACTIVE,), "No beat is there"),
        ((INTERACTIVE, health.BEAT), (), None),
    ],
)
def test_what_is_wrong(
    looking: JobWatch,
    database: Database,
    there: tuple[str, ...],
    waits: tuple[str, ...],
    reason: str | None,
) -> None:
    everybody(database, *there)
    with database.begin() as connection:
        # Long gone: whoever said nothing for so long is not there.
        rows.worker(connection, BATCH, ago=3600)
        for queue in waits:
            rows.add(connection, queue)
    verdict = health.judge(looking.look(PATIENCE))
    assert (verdict.reason is None) if reason is None else (reason in (verdict.reason or ""))


def test_redis_is_away(looking: JobWatch, database: Database, redis: RedisServer) -> None:
    everybody(database, *QUEUES, health.BEAT)
    redis.kill()
    try:
        verdict = health.judge(looking.look(PATIENCE))
    finally:
        redis.start()
    assert verdict.reason == "Redis does not answer; jobs are accepted and wait."
    assert verdict.services["redis"] == "unavailable"
    assert verdict.services["database"] == "healthy"


def test_the_database_is_away(looking: JobWatch, settings: Settings) -> None:
    looking.look(PATIENCE)
    looking.close()
    broken = JobWatch(settings.model_copy(update={"data_dir": Path("/proc/nowhere")}))
    verdict = health.judge(broken.look(PATIENCE))
    assert verdict.services["database"] == "unavailable"
    assert verdict.services["workers"] == "unknown"
    assert verdict.reason is not None and "database" in verdict.reason
    assert metrics(broken).get_sample_value("service_up", {"service": "database"}) == 0
    assert metrics(broken).get_sample_value("jobs_queue_depth", {"queue": BATCH}) is None
    broken.close()


def test_what_upkeep_found_is_believed_for_a_while(looking: JobWatch, database: Database) -> None:
    now = round(time.time() * 1e6)
    with database.begin() as connection:
        workers.checked(connection, "mlflow", "unhealthy", "it said 500", 0.1, now)
        workers.checked(connection, "blobs", "healthy", None, 0.1, now - 3_600_000_000)
        # It has no better eyes than this.
        workers.checked(connection, "redis", "unhealthy", None, 0.1, now)
    services = health.judge(looking.look(PATIENCE)).services
    assert (services["mlflow"], services["blobs"]) == ("unhealthy", "unknown")
    assert services["redis"] == "healthy"
    found = metrics(looking)
    assert found.get_sample_value("service_up", {"service": "mlflow"}) == 0
    assert found.get_sample_value("service_up", {"service": "redis"}) == 1
    assert found.get_sample_value("service_up", {"service": "blobs"}) is None


def test_what_is_old_says_nothing_about_now(looking: JobWatch, database: Database) -> None:
    everybody(database, *QUEUES, health.BEAT)
    sight = looking.look(PATIENCE)
    assert set(health.judge(sight, time.time() + 3600).services.values()) == {"unknown"}


def test_metrics_are_read_from_the_database(looking: JobWatch, database: Database) -> None:
    now = round(time.time() * 1e6)
    everybody(database, INTERACTIVE, BATCH, health.BEAT)
    with database.begin() as connection:
        rows.add(connection, created=now - 10_000_000)
        rows.add(connection, published=now)
        rows.add(connection, BATCH, state=RUNNING, token=1)
        rows.add(connection, TRAINING, state=DEAD, completed=now)
        counted = {
            "jobs_succeeded_interactive": 3, "jobs_failed_interactive": 1,
            "job_timed_interactive": 5,
            "job_micros_interactive": 2_500_000, "job_wait_micros_interactive": 500_000,
            "job_attempts_interactive": 5, "job_retries_interactive": 1,
            "jobs_dead_training": 1, "lease_losses": 2, "webhooks_delivered": 7,
        }  # fmt: skip
        job_totals.count(connection, counted, by="a")
        job_totals.count(connection, {"jobs_succeeded_interactive": 1}, by="b")
    looking.look(PATIENCE)
    found = metrics(looking)
    here = {"queue": INTERACTIVE}
    expected = [
        ("jobs_queue_depth", here, 2), ("jobs_unpublished", here, 1), ("jobs_running", here, 0),
        ("jobs_running", {"queue": BATCH}, 1), ("job_dead_letters", {"queue": TRAINING}, 1),
        ("jobs_total", {**here, "status": "succeeded"}, 4),
        ("jobs_total", {"queue": TRAINING, "status": "dead"}, 1),
        ("jobs_total", {"queue": BATCH, "status": "succeeded"}, 0),
        ("job_duration_seconds_sum", here, 2.5), ("job_duration_seconds_count", here, 5),
        ("job_wait_seconds_sum", here, 0.5), ("job_attempts_total", here, 5),
        ("job_retries_total", here, 1), ("job_lease_losses_total", {}, 2),
        ("workers", here, 1), ("workers", {"queue": TRAINING}, 0),
        ("workers", {"queue": health.BEAT}, 1), ("webhook_deliveries_pending", {}, 0),
        ("webhook_deliveries_total", {"result": "delivered"}, 7),
        ("webhook_deliveries_total", {"result": "given_up"}, 0),
    ]  # fmt: skip
    for name, labels, value in expected:
        assert found.get_sample_value(name, labels) == value, (name, labels)
    age = found.get_sample_value("job_age_seconds", here)
    assert age is not None and 10 <= age < 60
    assert found.get_sample_value("job_age_seconds", {"queue": BATCH}) == 0


def test_it_looks_again_after_a_while_and_not_before(
    looking: JobWatch, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = looking.look(PATIENCE)
    assert looking.look(PATIENCE) is first
    monkeypatch.setattr(looking, "_kept", 0.0)
    everybody(database, INTERACTIVE)
    assert looking.look(PATIENCE).present(INTERACTIVE) == 1


def test_a_hanging_redis_holds_up_nobody(make_settings: MakeSettings) -> None:
    """It takes connections and says nothing, as one that is stopped does."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        settings = make_settings(redis_url=f"redis://127.0.0.1:{deaf.getsockname()[1]}/0")
        looking = JobWatch(settings)
        began = time.monotonic()
        assert looking.look(0.05) == Sight()
        # It is deaf for as long as this lasts.
        assert time.monotonic() - began < AT_ONCE
        assert looking.look(PATIENCE).redis is False
        looking.close()
