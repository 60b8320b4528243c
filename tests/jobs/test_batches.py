"""The items of batch jobs, their archives, and the commit of a finished chunk."""

import io
import random
import struct
import time
import zipfile
from typing import Any

import orjson
import pytest

from services.core.errors import InvalidInputError, PayloadTooLargeError, SlipwayError
from services.core.ids import new_id
from services.core.settings import Settings
from services.jobs import batches, chunks, results, zips
from services.jobs.batches import JSONL, ZIP, Batch, Pace
from services.jobs.blobs import Blobs
from services.ledger.database import job_chunks, job_records, job_upkeep
from services.ledger.database import jobs as rows
from services.ledger.database.job_adding import add
from services.ledger.database.job_chunks import Chunk
from services.ledger.database.job_rows import SUCCEEDED, Job, NewJob
from services.ledger.database.opening import Database, open_database
from tests.conftest import MakeSettings

LARGEST = 1000


def archive(*entries: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        for name, data in entries:
            made.writestr(name, data)
    file.seek(0)
    return file


def check(file: io.BytesIO, most: int = 10, largest: int = LARGEST, total: int = 5000) -> list[str]:
    with zips.opened(file) as found:
        entries = zips.files(found)
        zips.check(entries, most, largest, total)
        return [zips.label(entry) for entry in entries]


def patched(file: io.BytesIO, mark: bytes, offset: int, form: str, value: int) -> io.BytesIO:
    """The archive with a field behind each such mark overwritten."""
    data = bytearray(file.getvalue())
    at = data.find(mark)
    while at >= 0:
        struct.pack_into(form, data, at + offset, value)
        at = data.find(mark, at + 1)
    return io.BytesIO(bytes(data))


def test_lines_of_json_are_counted_without_empty_ones() -> None:
    file = io.BytesIO(b'{"a": 1}\n\n  [2] \r\n"three"')
    found = list(batches.items(JSONL, file, LARGEST))
    assert [(item.index, item.data) for item in found] == [
        (0, b'{"a": 1}'),
        (1, b"[2]"),
        (2, b'"three"'),
    ]
    file.seek(0)
    assert [item.index for item in batches.items(JSONL, file, LARGEST, 2)] == [2]


def test_files_of_an_archive_without_folders_and_litter() -> None:
    file = archive(
        ("photos/", b""),
        ("photos/a.png", b"A"),
        ("__MACOSX/photos/._a.png", b"x"),
        ("photos/.DS_Store", b"x"),
        ("../../etc/passwd", b"B"),
    )
    assert check(file) == ["photos/a.png", "../../etc/passwd"]
    found = list(batches.items(ZIP, file, LARGEST))
    assert [(item.index, item.name, item.data) for item in found] == [
        (0, "photos/a.png", b"A"),
        (1, "../../etc/passwd", b"B"),
    ]
    assert [item.data for item in batches.items(ZIP, file, LARGEST, 1)] == [b"B"]


def test_a_damaged_file_is_its_own_error_and_no_other_ones() -> None:
    file = archive(("a", b"first" * 9), ("b", b"second" * 9), method=zipfile.ZIP_STORED)
    broken = io.BytesIO(file.getvalue().replace(b"first" * 9, b"worse" * 9))
    one, two = batches.items(ZIP, broken, LARGEST)
    assert isinstance(one.error, InvalidInputError)
    assert two.error is None and two.data == b"second" * 9


@pytest.mark.parametrize(
    ("limits", "where"),
    [({"most": 1}, "file"), ({"largest": 40}, "file[1]"), ({"total": 70}, "file")],
)
def test_bombs_are_refused_by_what_they_declare(limits: dict[str, int], where: str) -> None:
    with pytest.raises(PayloadTooLargeError) as caught:
        check(archive(("a", b"x" * 30), ("b", b"y" * 50)), **limits)
    assert caught.value.where == where


def test_a_file_that_is_larger_than_it_declares_is_not_unpacked_further() -> None:
    bomb = archive(("a", bytes(10_000_000)))
    # Sizes in the local head and in the central directory.
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        bomb = patched(bomb, mark, offset, "<I", 10)
    assert check(bomb) == ["a"]
    (item,) = batches.items(ZIP, bomb, LARGEST)
    assert isinstance(item.error, InvalidInputError)


def test_encrypted_and_unusual_archives_are_refused() -> None:
    locked = patched(archive(("a", b"x")), b"PK\x01\x02", 8, "<H", 1)
    with pytest.raises(InvalidInputError, match="encrypted"):
        check(locked)
    with pytest.raises(InvalidInputError, match="unusual"):
        check(archive(("a", b"x"), method=zipfile.ZIP_LZMA))
    with pytest.raises(InvalidInputError, match="no files"):
        check(archive(("only/", b"")))


def test_garbage_is_no_archive() -> None:
    whole = archive(("a", b"x" * 100)).getvalue()
    generator = random.Random(7)
    for _ in range(300):
        bad = bytearray(whole)
        for _ in range(3):
            bad[generator.randrange(len(bad))] = generator.randrange(256)
        try:
            check(io.BytesIO(bytes(bad[: generator.randrange(len(bad) + 1)])))
            list(batches.items(ZIP, io.BytesIO(bytes(bad)), LARGEST))
        except (SlipwayError, zips.BrokenZipError):
            continue


def test_a_line_of_the_output() -> None:
    good = orjson.loads(batches.line(3, "a.png", id="x", version="2", output={"prediction": 1}))
    assert good == {
        "index": 3,
        "id": "x",
        "name": "a.png",
        "status": "succeeded",
        "model_version": "2",
        "output": {"prediction": 1},
    }
    error = InvalidInputError("No.", where="items[3]", expected="yes")
    bad = orjson.loads(batches.line(3, None, error=error))
    assert bad["status"] == "failed" and bad["id"] is None and "output" not in bad
    assert bad["error"]["code"] == "invalid_input" and bad["error"]["where"] == "items[3]"


def test_chunks_grow_with_speed_and_shrink_with_slowness() -> None:
    pace = Pace()
    sizes = []
    for _ in range(4):
        sizes.append(pace.size)
        pace.took(pace.size, pace.size / 1000)
    assert sizes == sorted(sizes) and pace.size == 256
    pace.took(256, 512.0)
    assert pace.size < 256
    for _ in range(12):
        pace.took(pace.size, 3.0 * pace.size)
    assert pace.size == 1


def test_options_come_back_as_they_went() -> None:
    batch = Batch(ZIP, 7, version="3", threshold=0.25)
    assert Batch.of(orjson.loads(orjson.dumps(batch.options()))) == batch


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    return make_settings()


@pytest.fixture
def database(settings: Settings) -> Any:
    found = open_database(settings)
    yield found
    found.close()


def taken(database: Database) -> Job:
    """A job under way."""
    now = time.time_ns() // 1000
    new = NewJob(
        id=new_id(),
        queue="batch",
        task="predict_batch",
        subject="m",
        fingerprint="0" * 64,
        options={"kind": JSONL, "items": 4},
        created=now,
    )
    with database.begin() as connection:
        add(connection, new)
        (job,) = rows.take(connection, new.id, "w", now, now + 10**9)
    return job


def chunk_of(number: int, records: int = 2) -> tuple[Chunk, list[job_records.NewRecord]]:
    chunk = Chunk(number, f"{number:064x}.jsonl", records, 0)
    return chunk, [(new_id(), 1, None, b"{}") for _ in range(records)]


def test_a_chunk_and_its_records_are_written_once_and_only_by_the_holder(
    database: Database,
) -> None:
    job = taken(database)
    first, records = chunk_of(0)
    with database.begin() as connection:
        assert chunks.finish(connection, job.id, job.token, first, records, {"done": 2})
    late, others = chunk_of(1)
    with database.begin() as connection:
        assert not chunks.finish(connection, job.id, job.token - 1, late, others, {"done": 4})
    with database.reading() as connection:
        assert job_chunks.every(connection, job.id) == [first]
        assert job_chunks.counts(connection, job.id) == (2, 0)
        assert all(job_records.get(connection, record[0]) for record in records)
        assert not any(job_records.get(connection, record[0]) for record in others)
        found = rows.get(connection, job.id)
    assert found is not None and found.progress == {"done": 2} and found.attempts == 1


def test_only_attempts_since_the_last_chunk_count(database: Database) -> None:
    job = taken(database)
    for number in range(5):
        # Its worker dies each time, a chunk further.
        with database.begin() as connection:
            connection.exec_driver_sql("UPDATE jobs SET attempts = 3")
            chunk, records = chunk_of(number)
            assert chunks.finish(connection, job.id, job.token, chunk, records, None)
            found = rows.get(connection, job.id)
        assert found is not None and found.attempts == 1


def test_the_output_is_all_chunks_in_order(settings: Settings, database: Database) -> None:
    blobs = Blobs(settings)
    parts = [b"one\n" * 10, b"two\n", b"three\n" * 3]
    found = [Chunk(n, blobs.put(part, "jsonl"), 1, 0) for n, part in enumerate(parts)]
    ref = batches.output(blobs, found, settings.data_dir / "jobs" / "tmp")
    assert blobs.get(ref) == b"".join(parts)
    assert not list((settings.data_dir / "jobs" / "tmp").iterdir())


def test_blobs_of_a_batch_are_named_until_the_job_is_forgotten(database: Database) -> None:
    job = taken(database)
    chunk, records = chunk_of(0)
    output = f"{1:064x}.jsonl"
    now = time.time_ns() // 1000
    with database.begin() as connection:
        assert chunks.finish(connection, job.id, job.token, chunk, records, None)
        assert results.end(connection, job, SUCCEEDED, result={"ref": output}, now=now)
        refs = [chunk.ref, output, f"{2:064x}.jsonl"]
        assert job_upkeep.named(connection, refs) == {chunk.ref, output}
        assert job_upkeep.forget(connection, now + 1, 10) == [job.id]
        assert job_upkeep.named(connection, refs) == set()
        assert job_chunks.every(connection, job.id) == []
