"""Records from the journals into the database: each of them once, whatever lies between."""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import Connection, select

from services.core.errors import LedgerUnavailableError
from services.core.settings import Settings
from services.ledger.database import index
from services.ledger.database.opening import Database, open_database
from services.ledger.database.tables import minutes, predictions
from services.ledger.frames import PREDICTION, encode
from services.ledger.journal import Journal
from services.ledger.places import Places
from services.ledger.reading import remove, segments
from services.ledger.records import Record
from services.ledger.shipping.indexing import Indexing
from tests.conftest import settings_for_tests
from tests.ledger.journals import encoded, record


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_for_tests(data_dir=tmp_path, ledger_segment_bytes=64 * 1024)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = open_database(settings)
    yield opened
    opened.close()


def stage(settings: Settings, database: Database) -> Indexing:
    return Indexing(settings, database, Places(settings.data_dir))


def journal(settings: Settings, count: int) -> list[str]:
    """Write records, and return their ids."""
    writer = Journal(settings)
    records = [record() for _ in range(count)]
    for payload in encoded(records):
        writer.append(payload)
    writer.close()
    return [one["id"] for one in records]


def indexed(database: Database) -> list[str]:
    with database.reading() as connection:
        return list(connection.scalars(select(predictions.c.id)))


def counted(database: Database) -> int:
    with database.reading() as connection:
        return sum(connection.scalars(select(minutes.c.count)))


def letters(settings: Settings) -> list[dict[str, object]]:
    file = Places(settings.data_dir).dead / "records.jsonl"
    return [orjson.loads(line) for line in file.read_bytes().splitlines()] if file.exists() else []


def put(settings: Settings, *pieces: bytes, ending: str = "log") -> Path:
    """Make a segment of what the pieces say, by a writer that is dead."""
    folder = Places(settings.data_dir).journal / "writer"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lock").touch()
    file = folder / f"00000001.{ending}"
    file.write_bytes(b"".join(pieces))
    return file


def frame(**values: object) -> bytes:
    return encode(PREDICTION, encoded([record(**values)])[0])


def added(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Note the ids of each piece on its way into the database."""
    pieces: list[list[str]] = []
    add = index.add

    def noting(connection: Connection, records: Sequence[Record], *rest: Any) -> int:
        pieces.append([one.id for one in records])
        return add(connection, records, *rest)

    monkeypatch.setattr(index, "add", noting)
    return pieces


def run(indexing: Indexing) -> int:
    """Work until there is no more; return in how many steps."""
    steps = 1
    while indexing.step():
        steps += 1
        assert steps < 1000
    return steps


def test_every_record_once(settings: Settings, database: Database) -> None:
    written = journal(settings, 3000)
    indexing = stage(settings, database)
    run(indexing)
    assert sorted(indexed(database)) == sorted(written)
    assert counted(database) == 3000
    assert indexing.status() == {"unindexed_bytes": 0, "damaged_bytes": 0}
    with database.reading() as connection:
        for segment in segments(Places(settings.data_dir).journal):
            progress = index.progress(connection, segment.writer, segment.number)
            assert progress.indexed_to == segment.size


def test_another_one_goes_on_where_the_first_was(settings: Settings, database: Database) -> None:
    written = journal(settings, 1000)
    for _ in range(20):
        stage(settings, database).step()  # each remembers nothing of the one before
    assert not stage(settings, database).step()
    assert sorted(indexed(database)) == sorted(written)
    assert counted(database) == 1000


def test_many_small_records_go_in_pieces(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for_tests(data_dir=tmp_path)
    writer = Journal(settings)
    for payload in encoded(record(input=None, output=None, phases=None) for _ in range(4100)):
        writer.append(payload)
    writer.close()
    pieces = added(monkeypatch)
    run(stage(settings, database))
    assert [len(piece) for piece in pieces[:2]] == [2000, 2000]
    assert counted(database) == len(indexed(database)) == 4100


def test_a_record_larger_than_a_piece(tmp_path: Path, database: Database) -> None:
    settings = settings_for_tests(data_dir=tmp_path)
    writer = Journal(settings)
    for payload in encoded([record(), record(output="x" * 5_000_000), record()]):
        writer.append(payload)
    writer.close()
    run(stage(settings, database))
    assert counted(database) == len(indexed(database)) == 3


def test_what_is_being_written_is_indexed_as_it_grows(
    settings: Settings, database: Database
) -> None:
    writer, indexing = Journal(settings), stage(settings, database)
    assert not indexing.step()
    for number in range(1, 4):
        writer.append(encoded([record()])[0])
        indexing.step()
        assert len(indexed(database)) == number
    writer.close()
    run(indexing)
    assert counted(database) == 3


def test_writers_take_turns(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = journal(settings, 500)
    last = journal(settings, 1)
    pieces = added(monkeypatch)
    run(stage(settings, database))
    order = [name for piece in pieces for name in piece]
    assert order.index(last[0]) < order.index(first[-1])


def test_damage_is_counted_and_costs_nothing_else(settings: Settings, database: Database) -> None:
    end = frame()[:-5]
    put(settings, frame(), b"rubbish", frame(), end)
    indexing = stage(settings, database)
    run(indexing)
    torn = len(end)
    assert counted(database) == len(indexed(database)) == 2
    assert indexing.status() == {"unindexed_bytes": 0, "damaged_bytes": 7 + torn}
    run(stage(settings, database))
    assert stage(settings, database).status()["damaged_bytes"] == 7 + torn


def test_the_end_of_a_dead_writer_is_taken(settings: Settings, database: Database) -> None:
    file = put(settings, frame(), frame()[:20], ending="open")
    run(stage(settings, database))
    assert counted(database) == 1
    assert file.with_suffix(".log").exists() and not file.exists()


@pytest.mark.parametrize("payload", [b"no JSON", b"[]", b'{"id":"x"}', b"\xff\xfe"])
def test_what_is_no_record_is_put_aside_once(
    settings: Settings, database: Database, payload: bytes
) -> None:
    put(settings, frame(), encode(PREDICTION, payload), frame())
    run(stage(settings, database))
    assert counted(database) == len(indexed(database)) == 2
    [letter] = letters(settings)
    assert letter["sink"] == "records" and letter["error"]
    # Killed between the letter and the transaction, another one comes to the same place.
    with database.begin() as connection:
        index.forget_segment(connection, "writer", 1)
    run(stage(settings, database))
    assert len(letters(settings)) == 1
    assert counted(database) == 2


def test_what_the_database_refuses_is_put_aside_alone(
    settings: Settings, database: Database
) -> None:
    # A time that no column of 64 bits holds.
    good = [frame() for _ in range(20)]
    put(settings, *good[:7], frame(id="bad", time=1e300), *good[7:])
    indexing = stage(settings, database)
    run(indexing)
    assert counted(database) == len(indexed(database)) == 20
    [letter] = letters(settings)
    record_of_letter = letter["record"]
    assert isinstance(record_of_letter, dict) and record_of_letter["id"] == "bad"
    assert not indexing.step()


def test_a_torn_line_of_letters_does_not_swallow_the_next(
    settings: Settings, database: Database
) -> None:
    file = Places(settings.data_dir).dead / "records.jsonl"
    file.parent.mkdir(parents=True)
    file.write_bytes(b'{"time":1,"sink":"rec')
    put(settings, encode(PREDICTION, b"no JSON"))
    run(stage(settings, database))
    assert orjson.loads(file.read_bytes().splitlines()[-1])["record"] == "no JSON"


@pytest.mark.slow
def test_while_the_database_is_away_the_journal_waits(
    settings: Settings, database: Database
) -> None:
    written = journal(settings, 10)
    indexing = stage(settings, database)
    with closing(sqlite3.connect(Places(settings.data_dir).database)) as other:
        other.isolation_level = None
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerUnavailableError):
            indexing.step()  # after the five seconds that SQLite waits
        listed = segments(Places(settings.data_dir).journal)
        assert indexing._unindexed == sum(segment.size for segment in listed)
        other.execute("ROLLBACK")
    run(indexing)
    assert sorted(indexed(database)) == sorted(written)
    assert counted(database) == 10


def test_a_segment_deleted_meanwhile_is_no_failure(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal(settings, 1)
    places = Places(settings.data_dir)
    listed = segments(places.journal)
    for segment in listed:
        remove(segment)
    monkeypatch.setattr("services.ledger.shipping.indexing.segments", lambda _: listed)
    assert not stage(settings, database).step()
    assert counted(database) == 0


def test_a_long_list_of_done_segments_costs_little(settings: Settings, database: Database) -> None:
    small = settings.model_copy(update={"ledger_segment_bytes": 4096})
    journal(small, 600)
    indexing = stage(settings, database)
    run(indexing)
    began = time.thread_time()
    assert not indexing.step()
    # About 2 ms for 100 files: neither read again nor asked of the database.
    assert time.thread_time() - began < 0.05
