"""Batch jobs by a real worker: every item once, whatever some of them, or the worker, do."""

import base64
import io
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from PIL import Image
from sqlalchemy import select

from services.core.ids import new_id
from services.jobs.batches import JSONL, ZIP, Batch
from services.jobs.blobs import Blobs
from services.jobs.names import BATCH, PREDICT_BATCH
from services.ledger.database import job_adding, job_chunks, jobs
from services.ledger.database.job_rows import (
    CANCELED,
    JOB_FAILED,
    SUCCEEDED,
    Job,
    NewJob,
)
from services.ledger.database.job_tables import job_records
from tests.support.jobs_stand import Running, Stand, wait
from tests.support.patience import AT_ONCE
from tests.support.pictures import blobs_as, encoded
from tests.support.serve_batches import TABLE

Line = dict[str, Any]


def worker(stand: Stand) -> Running:
    made = stand.start("tests.support.serve_batches")
    made.wait_for("ready.")
    return made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with Stand(tmp_path_factory.mktemp("stand"), job_lease=3, job_timeout=20) as stand:
        worker(stand)
        yield stand


def submit(
    stand: Stand, data: bytes, items: int, kind: str = JSONL, model: str = TABLE, **batch: Any
) -> str:
    ref = Blobs(stand.settings).put_file(io.BytesIO(data), kind)
    new = NewJob(
        id=new_id(),
        queue=BATCH,
        task=PREDICT_BATCH,
        subject=model,
        fingerprint="0" * 64,
        options=Batch(kind, items, **batch).options(),
        created=time.time_ns() // 1000,
        payload=ref,
        request_id="r-1",
        mode="batch",
    )
    with stand.database.begin() as connection:
        job_adding.add(connection, new)
    stand.publish(new.id, queue=BATCH)
    return new.id


def rows(*values: Any) -> bytes:
    return b"\n".join(orjson.dumps(value) for value in values)


def lines(stand: Stand, job: Job) -> list[Line]:
    assert job.state == SUCCEEDED, job.error
    return [
        orjson.loads(line) for line in Blobs(stand.settings).get(job.result["ref"]).splitlines()
    ]


def done(stand: Stand, id: str) -> int:
    with stand.database.reading() as connection:
        return sum(job_chunks.counts(connection, id))


def on_record(stand: Stand, id: str) -> list[Line]:
    wanted = select(job_records.c.payload).where(job_records.c.job == id)
    with stand.database.reading() as connection:
        return [orjson.loads(payload) for payload in connection.scalars(wanted)]


def check_each_once(stand: Stand, job: Job, items: int) -> list[Line]:
    """Every item is in the output once, in order, and what has an id is on record once."""
    found = lines(stand, job)
    assert [line["index"] for line in found] == list(range(items))
    ids = [line["id"] for line in found if line["id"] is not None]
    assert sorted(ids) == sorted(record["id"] for record in on_record(stand, job.id))
    assert len(set(ids)) == len(ids)
    return found


def test_rows_some_of_which_the_model_refuses(shared: Stand) -> None:
    id = submit(shared, rows({"x": 1, "y": 2}, {"x": -1}, 5, {"row": {"x": 7}}, "text"), 5)
    job = shared.ended(id)
    found = check_each_once(shared, job, 5)
    assert [line["status"] for line in found] == [
        "succeeded", "failed", "succeeded", "succeeded", "failed"
    ]  # fmt: skip
    assert found[0]["output"] == {"prediction": 3.0, "parities": [1]}
    assert found[0]["model_version"] == "4" and found[3]["output"]["prediction"] == 7.0
    assert found[1]["error"]["where"] == "items[1].x"
    assert found[1]["error"]["message"] == "items[1].x is refused."
    assert {name: job.result[name] for name in ("items", "succeeded", "failed")} == {
        "items": 5, "succeeded": 3, "failed": 2
    }  # fmt: skip
    assert job.progress["done"] == 5
    records = on_record(shared, id)
    assert {record["mode"] for record in records} == {"batch"}
    assert {record["request_id"] for record in records} == {"r-1"}
    assert sorted(record["status"] for record in records) == ["failed"] * 2 + ["succeeded"] * 3


def test_pictures_of_which_one_is_broken(shared: Stand) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/first.png", blobs_as("PNG"))
        archive.writestr("broken.jpg", blobs_as("JPEG")[:200])
        archive.writestr("notes.txt", b"no picture")
        archive.writestr("last.jpg", blobs_as("JPEG"))
    job = shared.ended(submit(shared, file.getvalue(), 4, ZIP, "blobs", threshold=0.9))
    found = check_each_once(shared, job, 4)
    assert [(line["name"], line["status"]) for line in found] == [
        ("a/first.png", "succeeded"),
        ("broken.jpg", "failed"),
        ("notes.txt", "failed"),
        ("last.jpg", "succeeded"),
    ]
    # Of two squares one is bright enough.
    assert found[0]["output"]["num_instances"] == 1
    assert set(found[0]["output"]["instances"][0]) == {"box", "score", "area", "mask"}
    assert found[2]["error"]["code"] == "unsupported_media_type"


def test_pictures_in_lines_of_json(shared: Stand) -> None:
    red = base64.b64encode(encoded(Image.new("RGB", (8, 8), "red"), "PNG")).decode()
    id = submit(shared, rows(red, {"image": red}, {"image": 7}), 3, model="colours")
    found = check_each_once(shared, shared.ended(id), 3)
    assert [line.get("output", {}).get("class") for line in found] == ["red", "red", None]


def test_many_rows_come_in_chunks(shared: Stand) -> None:
    count = 700
    job = shared.ended(submit(shared, rows(*({"x": n} for n in range(count))), count))
    found = check_each_once(shared, job, count)
    assert [line["output"]["prediction"] for line in found] == [float(n) for n in range(count)]
    with shared.database.reading() as connection:
        assert len(job_chunks.every(connection, job.id)) > 1


def test_without_the_model_the_job_fails(shared: Stand) -> None:
    job = shared.ended(submit(shared, rows(1), 1, model="nobody"))
    assert job.state == JOB_FAILED and job.error is not None
    assert job.error["code"] == "not_found"


def test_cancel_stops_within_two_seconds_and_what_is_done_stays(shared: Stand) -> None:
    count = 40
    id = submit(shared, rows(*[{"x": 1, "y": 0.2, "do": "sleep"}] * count), count)
    wait(lambda: done(shared, id) > 0)
    with shared.database.begin() as connection:
        jobs.cancel(connection, id, time.time_ns() // 1000)
    began = time.monotonic()
    shared.wait_state(id, CANCELED)
    # Two seconds, and some for a busy machine.
    assert time.monotonic() - began < AT_ONCE
    before = done(shared, id)
    assert 0 < before < count
    with shared.database.begin() as connection:
        assert jobs.again(connection, id, time.time_ns() // 1000)
    shared.publish(id, queue=BATCH)
    found = check_each_once(shared, shared.ended(id), count)
    assert all(line["status"] == "succeeded" for line in found)


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_loses_and_repeats_nothing(tmp_path: Path) -> None:
    count = 300
    with Stand(tmp_path, job_lease=3) as stand:
        stand.beat()
        first = worker(stand)
        sleepy = [{"x": n, "y": 0.01, "do": "sleep"} for n in range(count)]
        id = submit(stand, rows(*sleepy), count)
        wait(lambda: done(stand, id) > 20)
        first.kill()
        worker(stand)
        found = check_each_once(stand, stand.ended(id), count)
        assert all(line["status"] == "succeeded" for line in found)
        assert stand.job(id).token >= 2


@pytest.mark.slow
def test_an_item_that_kills_its_worker_fails_alone(tmp_path: Path) -> None:
    values: list[Any] = [{"x": n} for n in range(40)]
    values[25]["do"] = "kill"
    with Stand(tmp_path, job_lease=3) as stand:
        stand.beat()
        worker(stand)
        id = submit(stand, rows(*values), len(values))
        found = check_each_once(stand, stand.ended(id, 90), len(values))
        assert [line["index"] for line in found if line["status"] == "failed"] == [25]
        assert found[25]["error"]["code"] == "worker_lost"
