"""What may be deleted, and what the status says is still under way."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.core.settings import Settings
from services.ledger.database import index
from services.ledger.database.opening import Database, open_database
from services.ledger.journal import Journal
from services.ledger.places import Places
from services.ledger.reading import Segment, remove, segments
from services.ledger.shipping.finishing import Finishing
from tests.conftest import settings_for_tests
from tests.ledger.journals import encoded, record


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_for_tests(data_dir=tmp_path, ledger_segment_bytes=4096)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = open_database(settings)
    yield opened
    opened.close()


@pytest.fixture
def writer(settings: Settings) -> Iterator[Journal]:
    """A writer with some sealed segments, and one that it still writes."""
    journal = Journal(settings)
    for payload in encoded(record(time=time.time() - 100) for _ in range(30)):
        journal.append(payload)
    yield journal
    journal.close()


def listed(settings: Settings) -> list[Segment]:
    return segments(Places(settings.data_dir).journal)


def note(
    database: Database, segment: Segment, *, indexed: int = 0, traced: int = 0, stored: bool = True
) -> None:
    """Note how far a segment came; 0 is its end, -1 a byte before."""
    key = (segment.writer, segment.number)
    with database.begin() as connection:
        index.add(connection, [], segment, segment.size + indexed, 0)
        index.set_traced(connection, *key, segment.size + traced)
        if stored:
            index.set_stored(connection, *key)


def known(database: Database) -> set[tuple[str, int]]:
    with database.reading() as connection:
        return set(index.all_progress(connection))


def stage(settings: Settings, database: Database) -> Finishing:
    return Finishing(settings, database, Places(settings.data_dir))


def test_what_is_done_goes_and_is_forgotten(
    settings: Settings, database: Database, writer: Journal
) -> None:
    first, second, *_, last = before = listed(settings)
    assert second.sealed and not last.sealed
    note(database, first)
    # Being written: it may have grown since.
    note(database, last)
    assert not stage(settings, database).step()
    assert listed(settings) == before[1:]
    assert known(database) == {(last.writer, last.number)}


@pytest.mark.parametrize("missing", [{"indexed": -1}, {"traced": -1}, {"stored": False}])
def test_nothing_goes_that_is_not_wholly_there(
    settings: Settings, database: Database, writer: Journal, missing: dict[str, int]
) -> None:
    before = listed(settings)
    note(database, before[0], **missing)  # type: ignore[arg-type]
    stage(settings, database).step()
    assert listed(settings) == before


def test_a_kill_between_the_file_and_its_row_leaves_no_row(
    settings: Settings, database: Database, writer: Journal
) -> None:
    first, second, *_ = listed(settings)
    for segment in (first, second):
        note(database, segment)
    remove(first)
    stage(settings, database).step()
    assert known(database) == set()


def test_the_row_of_a_segment_that_was_lost_stays(
    settings: Settings, database: Database, writer: Journal
) -> None:
    first, *_ = listed(settings)
    note(database, first, stored=False)
    remove(first)
    stage(settings, database).step()
    assert known(database) == {(first.writer, first.number)}


def test_the_folder_of_a_dead_writer_goes_with_its_last_segment(
    settings: Settings, database: Database, writer: Journal
) -> None:
    writer.close()
    for segment in listed(settings):
        note(database, segment)
    stage(settings, database).step()
    assert list(Places(settings.data_dir).journal.iterdir()) == []


def test_what_waits_is_counted(settings: Settings, database: Database, writer: Journal) -> None:
    first, second, *others = listed(settings)
    note(database, first)
    with database.begin() as connection:
        index.add(connection, [], second, 0, 0)
    finishing = stage(settings, database)
    finishing.step()
    found = finishing.status()
    assert found["pending_bytes"] == second.size + sum(segment.size for segment in others)
    assert 100 <= found["oldest_seconds"] < 130
    for segment in (second, *others):
        note(database, segment)
    writer.close()
    finishing.step()
    assert finishing.status() == {"pending": 0, "pending_bytes": 0, "oldest_seconds": 0.0}


def test_a_clock_that_goes_backwards_makes_nothing_older_than_new(
    settings: Settings, database: Database
) -> None:
    journal = Journal(settings)
    journal.append(encoded([record(time=time.time() + 1000)])[0])
    finishing = stage(settings, database)
    finishing.step()
    assert finishing.status()["oldest_seconds"] == 0.0
    journal.close()
