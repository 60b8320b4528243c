"""Predictions by a real worker: answers, failures, records, several at once."""

import time
from typing import Any

import orjson

from services.jobs import payloads
from services.ledger.database import job_records, job_upkeep, jobs
from services.ledger.database.job_rows import CANCELED, JOB_FAILED, QUEUED, SUCCEEDED, Job
from tests.support.jobs_stand import Stand
from tests.support.patience import PATIENCE


def output(stand: Stand, job: Job) -> Any:
    return payloads.unpack_output(job.result["output"], stand.blobs)


def record(stand: Stand, id: str) -> Any:
    with stand.database.reading() as connection:
        found = job_records.get(connection, id)
    return None if found is None else orjson.loads(found)


def test_a_prediction_is_answered_and_on_record(shared: Stand) -> None:
    id = shared.submit({"do": "echo", "echo": [1, 2]}, request_id="r-1", caller="somebody")
    job = shared.ended(id)
    assert job.state == SUCCEEDED
    assert output(shared, job)["echo"] == [1, 2]
    assert job.result["model"] == {
        "name": "no-op", "version": "1", "family": "no-op", "task": "nothing"
    }  # fmt: skip
    assert set(job.result["timings"]) == {"queue", "preprocess", "inference", "postprocess"}
    assert (job.attempts, job.worker, job.leased_until) == (1, None, None)
    found = record(shared, id)
    assert (found["status"], found["mode"]) == ("succeeded", "async")
    assert (found["request_id"], found["caller"]) == ("r-1", "somebody")


def test_what_is_large_lies_among_the_blobs(shared: Stand) -> None:
    text = "x" * 100_000
    job = shared.ended(shared.submit({"do": "echo", "echo": text}))
    assert job.payload is not None
    assert job.result_ref is not None
    assert output(shared, job)["echo"] == text


def test_what_the_model_refuses_fails_with_its_words(shared: Stand) -> None:
    job = shared.ended(shared.submit({"do": "refuse"}))
    assert job.state == JOB_FAILED
    assert job.error is not None
    assert (job.error["code"], job.error["where"]) == ("invalid_input", "do")
    assert record(shared, job.id)["status"] == "failed"


def test_a_model_that_breaks_gives_nothing_away(shared: Stand) -> None:
    job = shared.ended(shared.submit({"do": "fail"}))
    assert job.state == JOB_FAILED
    assert job.error is not None
    assert job.error["code"] == "prediction_failed"
    assert "secret" not in str(job.error)


def test_a_model_that_is_not_there_fails_at_once(shared: Stand) -> None:
    job = shared.ended(shared.submit({"do": "echo"}, subject="nobody"))
    assert job.error is not None
    assert (job.state, job.error["code"]) == (JOB_FAILED, "not_found")


def test_a_task_that_nobody_knows_fails(shared: Stand) -> None:
    job = shared.ended(shared.submit({}, task="dance"))
    assert job.error is not None
    assert (job.state, job.error["where"]) == (JOB_FAILED, "task")


def test_a_message_about_what_has_ended_does_nothing(shared: Stand) -> None:
    id = shared.submit({"do": "echo"})
    before = shared.ended(id)
    shared.publish(id, id, "00000000-0000-7000-8000-000000000000")
    shared.ended(shared.submit({"do": "echo"}))
    assert shared.job(id) == before


def test_what_expired_is_not_begun(shared: Stand) -> None:
    past = int((time.time() - 1) * 1e6)
    id = shared.submit({"do": "echo"}, expires=past)
    shared.ended(shared.submit({"do": "echo"}))
    assert shared.job(id).state == QUEUED


def test_quick_ones_are_taken_together(shared: Stand) -> None:
    """One message does, once the worker knows how quick the model is."""
    for _ in range(3):
        shared.ended(shared.submit({"do": "echo"}))
    ids = [shared.add({"do": "echo", "echo": number}) for number in range(8)]
    bad = shared.add({"do": "fail"})
    canceled = shared.add({"do": "echo"})
    with shared.database.begin() as connection:
        jobs.cancel(connection, canceled, 1)
    seen: set[int] = set()
    until = time.monotonic() + PATIENCE
    # Each take is at most twice as large as the one before.
    while not all(shared.job(id).ended for id in ids) and time.monotonic() < until:
        first = next(id for id in ids if not shared.job(id).ended)
        shared.publish(first)
        seen.add(sum(shared.job(id).ended for id in ids))
        shared.ended(first)
    assert [output(shared, shared.job(id))["echo"] for id in ids] == list(range(8))
    messages = len(seen)
    assert messages < len(ids)
    assert all(record(shared, id) is not None for id in ids)
    assert shared.ended(shared.submit({"do": "echo"})).state == SUCCEEDED
    shared.publish(bad)
    assert shared.ended(bad).state == JOB_FAILED
    assert shared.job(canceled).state == CANCELED


def test_a_job_that_was_begun_before_is_taken_alone(shared: Stand) -> None:
    again, other = shared.add({"do": "echo"}), shared.add({"do": "echo"})
    with shared.database.begin() as connection:
        jobs.take(connection, again, "one that died", 1, 2)
        job_upkeep.reconcile(connection, 3)
    shared.publish(again)
    assert shared.ended(again).attempts == 2
    assert shared.job(other).state == QUEUED
    shared.publish(other)
    shared.ended(other)


def test_who_waits_is_told(shared: Stand) -> None:
    with shared.client() as client:
        listener = client.pubsub()
        listener.subscribe("slipway:jobs")
        id = shared.submit({"do": "echo"})
        until = time.monotonic() + PATIENCE
        told = None
        while told is None and time.monotonic() < until:
            message = listener.get_message(timeout=1, ignore_subscribe_messages=True)
            if message is not None:
                said = orjson.loads(message["data"])
                told = said if said["id"] == id else None
        assert told is not None
        assert told["state"] == SUCCEEDED
        assert client.xrange(f"slipway:job:{id}")
        listener.close()
