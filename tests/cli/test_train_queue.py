"""`slipway train --queue`: a job in a real database, as `POST /train` would make it."""

import json
from pathlib import Path

import pytest

from services.core.settings import get_settings, load_settings
from services.jobs.names import TRAIN, TRAINING
from services.ledger.database import jobs
from services.ledger.database.job_rows import QUEUED
from services.ledger.database.opening import open_database
from services.registry.catalogue import Stage
from services.training.order import Order
from tests.cli.conftest import Command
from tests.support.redis_server import running_redis


def test_a_training_becomes_a_job(
    slipway: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--epochs", "3", "--seed", "7", "--stage", "staging", "--queue", "--json")
    with running_redis(tmp_path / "redis") as redis:
        monkeypatch.setenv("REDIS_URL", redis.url)
        get_settings.cache_clear()
        done = slipway("train", "digits", *options)
    assert done.code == 0, done.err
    told = json.loads(done.out)
    database = open_database(load_settings())
    try:
        with database.reading() as connection:
            job = jobs.get(connection, told["id"])
    finally:
        database.close()
    assert job is not None
    assert (job.queue, job.task, job.subject, job.state) == (TRAINING, TRAIN, "digits", QUEUED)
    assert told["job_id"] == f"job_{job.number:06d}"
    order = Order.from_json(job.options)
    assert (order.params["epochs"], order.seed, order.stage) == (3, 7, Stage.STAGING)
    assert order.register
    assert order.experiment


def test_what_a_worker_cannot_have_is_refused(slipway: Command, tmp_path: Path) -> None:
    done = slipway("train", "digits", "--queue", "--data", str(tmp_path))
    assert done.code == 2
    assert "--data" in done.err


def test_where_no_worker_will_come_none_is_taken(slipway: Command) -> None:
    done = slipway("train", "digits", "--queue")
    assert done.code == 1
    assert "REDIS_URL" in done.err
