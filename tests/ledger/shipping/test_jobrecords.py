"""Records of jobs become records of a journal, each exactly once, whoever dies when."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from services.core.errors import LedgerUnavailableError
from services.core.settings import Settings
from services.ledger import questions
from services.ledger.database import job_records, record_claims
from services.ledger.database.opening import Database, open_database
from services.ledger.jobrecorder import row
from services.ledger.journal import Journal
from services.ledger.places import Places
from services.ledger.reading import segments
from services.ledger.shipping.indexing import Indexing
from services.ledger.shipping.jobrecords import JobRecords
from services.ledger.shipping.segment import OwnSegments
from tests.conftest import MakeSettings
from tests.ledger.database.conftest import database, postgres_server, postgres_url, settings
from tests.ledger.journals import all_payloads, encoded, record
from tests.ledger.shipping.moving import add, counts, finish, kept

__all__ = ["database", "postgres_server", "postgres_url", "settings"]


def _ids(settings: Settings) -> list[str]:
    return sorted(json.loads(payload)["id"] for payload in all_payloads(settings.data_dir))


@pytest.fixture
def mover(settings: Settings, database: Database) -> Iterator[JobRecords]:
    made = JobRecords(settings, database, Places(settings.data_dir))
    yield made
    made.close()


@pytest.fixture
def indexing(settings: Settings, database: Database) -> Indexing:
    return Indexing(settings, database, Places(settings.data_dir))


def test_they_are_found_at_every_step(
    settings: Settings, database: Database, mover: JobRecords, indexing: Indexing
) -> None:
    (wanted,) = add(database, 1)

    def look() -> questions.Looked:
        with database.reading() as connection:
            return questions.look(connection, wanted)

    for step in (lambda: None, mover.step, indexing.step, mover.step):
        step()
        found = look().found
        assert found is not None and found.record.id == wanted
    assert counts(database) == (0, 1, 1)
    assert _ids(settings) == [wanted]
    assert not mover.step(), "nothing is left to do"


def test_nothing_is_deleted_that_the_index_does_not_have(
    database: Database, mover: JobRecords, indexing: Indexing
) -> None:
    add(database, 10)
    for _ in range(3):
        mover.step()
    assert counts(database) == (10, 0, 0)
    indexing.step()
    mover.step()
    assert counts(database) == (0, 10, 10)


def test_the_oldest_go_first_and_pieces_are_bounded(
    settings: Settings, database: Database, mover: JobRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.ledger.shipping.jobrecords._MOST_RECORDS", 4)
    ids = add(database, 10)
    mover.step()
    assert [json.loads(one)["id"] for one in all_payloads(settings.data_dir)] == ids[:4]


def test_bytes_are_bounded_too_and_a_longer_one_goes_alone(database: Database) -> None:
    payloads = encoded([record(output={"text": "x" * size}) for size in (100, 100, 90_000, 100)])
    with database.begin() as connection:
        job_records.add(connection, [row(payload, None) for payload in payloads])
    sizes = []
    for number in range(1, 4):
        with database.begin() as connection:
            found = record_claims.claim(connection, "jobs-1-w", number, 100, 10_000)
        sizes.append([len(one.payload) > 50_000 for one in found])
    assert sizes == [[False, False], [True], [False]]


def test_segments_end_by_age_and_go_when_they_are_done(
    make_settings: MakeSettings, database: Database
) -> None:
    made = make_settings(ledger_segment_seconds=0.1)
    ids = add(database, 10)
    finish(made, database)
    assert kept(made.data_dir) == sorted(ids)
    assert counts(database) == (0, 10, 10)


def test_while_the_journal_is_full_they_wait(
    make_settings: MakeSettings, database: Database
) -> None:
    made = make_settings(ledger_max_bytes=64 * 1024)
    journal = Journal(made)
    for payload in encoded([record(output={"text": "x" * 1000}) for _ in range(60)]):
        journal.append(payload)
    journal.close()
    add(database, 5)
    mover = JobRecords(made, database, Places(made.data_dir))
    assert not mover.step()
    assert mover.status()["job_records"] == 5
    for segment in segments(Places(made.data_dir).journal):
        segment.path.unlink()
    mover.step()
    assert len(_ids(made)) == 5
    mover.close()


def test_the_status_says_how_old_the_oldest_is(database: Database, mover: JobRecords) -> None:
    assert mover.status() == {"job_records": 0, "job_records_seconds": 0.0}
    payload = encoded([record(time=time.time() - 100)])[0]
    with database.begin() as connection:
        job_records.add(connection, [row(payload, None)])
    assert mover.status()["job_records"] == 1
    assert 100 <= mover.status()["job_records_seconds"] < 160


@pytest.mark.parametrize("when", ["claimed", "appended", "deleting"])
def test_an_error_changes_nothing(
    settings: Settings,
    database: Database,
    mover: JobRecords,
    indexing: Indexing,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
) -> None:
    """A transaction that counts although its answer got lost, or a disk that takes no more."""
    ids = add(database, 20)
    owner, name = {
        "claimed": (record_claims, "claim"),
        "appended": (OwnSegments, "append"),
        "deleting": (record_claims, "moved"),
    }[when]
    real = getattr(owner, name)

    def breaks(*given: Any, **named: Any) -> Any:
        monkeypatch.setattr(owner, name, real)
        real(*given, **named)
        if when == "claimed":
            given[0].commit()
        raise LedgerUnavailableError("away") if when != "appended" else OSError(28, "full")

    monkeypatch.setattr(owner, name, breaks)
    raised = 0
    for _ in range(6):
        try:
            mover.step()
        except (LedgerUnavailableError, OSError):
            raised += 1
        indexing.step()
    assert raised == 1
    assert counts(database) == (0, 20, 20)
    assert _ids(settings) == sorted(ids)


def test_a_claim_that_counts_too_late_is_found(
    settings: Settings,
    database: Database,
    mover: JobRecords,
    indexing: Indexing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whose maker lost the connection, while the server went on."""
    ids = add(database, 2)
    mover.step()
    indexing.step()
    mover.step()
    (segment,) = segments(Places(settings.data_dir).journal)
    ids += add(database, 3)
    with database.begin() as connection:
        record_claims.claim(connection, segment.writer, segment.number, 10, 10_000)
    mover.step()
    assert counts(database)[0] == 3, "nobody looks for it at once"
    monkeypatch.setattr("services.ledger.shipping.jobrecords._SETTLE_SECONDS", 0.0)
    for _ in range(3):
        mover.step()
        indexing.step()
    assert counts(database) == (0, 5, 5)
    assert _ids(settings) == sorted(ids)


def test_a_shipper_that_ends_leaves_nothing_half_moved(
    settings: Settings, database: Database, mover: JobRecords
) -> None:
    ids = add(database, 5)
    mover.step()
    mover.close()
    assert counts(database)[0] == 0
    assert all(segment.sealed for segment in segments(Places(settings.data_dir).journal))
    assert _ids(settings) == sorted(ids)


def test_a_folder_keeps_its_id(settings: Settings, database: Database, mover: JobRecords) -> None:
    add(database, 1)
    mover.step()
    (first,) = [one.writer for one in segments(Places(settings.data_dir).journal)]
    mover.close()
    add(database, 1)
    again = JobRecords(settings, database, Places(settings.data_dir))
    again.step()
    again.close()
    found = {one.writer for one in segments(Places(settings.data_dir).journal)}
    assert len(found) == 2, "no name is ever given twice"
    assert len({name.split("-")[1] for name in found}) == 1
    assert all(len(name) <= 64 for name in found) and first in found


def test_two_machines_share_one_database(make_settings: MakeSettings, postgres_url: str) -> None:
    both = [
        make_settings(data_dir=make_settings().data_dir / name, ledger_database_url=postgres_url)
        for name in "ab"
    ]
    opened = [open_database(one) for one in both]
    ids = add(opened[0], 200)
    patience = time.monotonic() + 120

    def move(one: Settings, base: Database) -> None:
        mover = JobRecords(one, base, Places(one.data_dir))
        indexing = Indexing(one, base, Places(one.data_dir))
        while counts(base)[0]:
            mover.step()
            indexing.step()
            assert time.monotonic() < patience
        mover.close()

    threads = [threading.Thread(target=move, args=pair) for pair in zip(both, opened, strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("services.ledger.shipping.jobrecords._MOST_RECORDS", 7)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    done = [counts(base) for base in opened]
    for base in opened:
        base.close()
    assert done == [(0, 200, 200)] * 2
    found = [_ids(one) for one in both]
    assert sorted(found[0] + found[1]) == sorted(ids)
    assert all(found), "both took a part"
