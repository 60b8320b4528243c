"""Each record is indexed and counted once, whatever comes twice."""

import multiprocessing
import random
import time

import pytest
from sqlalchemy import func, select

from services.core.errors import LedgerUnavailableError
from services.core.settings import Settings
from services.ledger.database import index, lookup, minutes
from services.ledger.database.opening import Database, open_database
from services.ledger.database.tables import SENT, predictions
from services.ledger.database.tables import minutes as minutes_table
from services.ledger.records import Record, parse
from tests.ledger.database.made import NOON, Segment, fill, record
from tests.support.patience import PATIENCE

SEGMENT = Segment()


def counted(database: Database) -> tuple[int, int]:
    """Return how many predictions there are, and how many the minutes know."""
    with database.reading() as connection:
        rows = connection.scalar(select(func.count()).select_from(predictions))
        known = connection.scalar(select(func.sum(minutes_table.c.count)))
        return int(rows or 0), int(known or 0)


def test_a_record_is_found_as_it_was(database: Database) -> None:
    made = record(
        status="failed",
        error={"code": "prediction_failed", "message": "It broke.", "phase": "inference"},
        caller="alice",
        confidence=None,
    )
    assert fill(database, [made]) == 1
    with database.reading() as connection:
        row = lookup.find(connection, made.id)
        assert lookup.find(connection, "nobody") is None
    assert row is not None
    assert parse(row.record) == made
    assert row.time == round(NOON * 1e6)
    assert (row.model, row.version, row.stage, row.mode) == ("credit", "1", "Production", "sync")
    assert (row.status, row.error_code, row.caller) == ("failed", "prediction_failed", "alice")
    assert (row.seconds, row.confidence, row.trace_state) == (0.003, None, 0)


def test_the_same_chunk_again_changes_nothing(database: Database) -> None:
    made = [record() for _ in range(50)]
    for new in (50, 0, 0):
        with database.begin() as connection:
            assert index.add(connection, made, SEGMENT, 5000, 7) == new
    assert counted(database) == (50, 50)
    with database.reading() as connection:
        assert index.progress(connection, SEGMENT.writer, 1) == index.Progress(5000, 0, 50, 7)


def test_overlapping_chunks_count_each_record_once(database: Database) -> None:
    made = [record() for _ in range(100)]
    with database.begin() as connection:
        assert index.add(connection, made[:60], SEGMENT, 6000, 0) == 60
        assert index.add(connection, made[40:], SEGMENT, 10000, 3) == 40
        # The same record twice in one chunk.
        assert index.add(connection, [made[0], record(), made[0]], SEGMENT, 10200, 0) == 1
    assert counted(database) == (101, 101)
    with database.reading() as connection:
        assert index.progress(connection, SEGMENT.writer, 1) == index.Progress(10200, 0, 101, 3)


def test_what_is_rolled_back_never_was(database: Database) -> None:
    made = [record() for _ in range(10)]

    def interrupted() -> None:
        with database.begin() as connection:
            index.add(connection, made, SEGMENT, 1000, 0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert counted(database) == (0, 0)
    assert fill(database, made) == 10


def test_an_empty_chunk_moves_on(database: Database) -> None:
    with database.begin() as connection:
        assert index.add(connection, [], SEGMENT, 400, 400) == 0
        assert index.progress(connection, SEGMENT.writer, 1) == index.Progress(400, 0, 0, 400)


def test_odd_records_hold_up_nobody(database: Database) -> None:
    """PostgreSQL refuses a NUL, a text that is too long, and one list of 1 and 0.5."""
    made = [
        record(caller="a\0b", request_id="x" * 500, model="m" * 300, mode="of-a-long-name" * 9),
        record(seconds=1, confidence=1, time=int(NOON)),
        record(seconds=0.5, confidence=0.5, caller="grüße 🚢"),
        record(error={"code": "c" * 99, "message": ""}, status="failed"),
    ]
    assert fill(database, made) == 4
    with database.reading() as connection:
        row = lookup.find(connection, made[0].id)
        kept = lookup.find(connection, made[2].id)
    assert row is not None and kept is not None
    assert (row.caller, len(row.request_id or ""), len(row.model)) == ("a\ufffdb", 128, 256)
    assert kept.caller == "grüße 🚢"
    assert parse(row.record) == made[0]


def test_segments_are_followed_on_their_own(database: Database) -> None:
    writer = SEGMENT.writer
    fill(database, [record()], number=1)
    fill(database, [record()], number=2)
    with database.begin() as connection:
        index.set_traced(connection, writer, 1, 1)
        index.set_stored(connection, writer, 1)
        index.set_traced(connection, "another", 9, 70)
        assert index.all_progress(connection) == {
            (writer, 1): index.Progress(1, 1, 1, 0, stored=True),
            (writer, 2): index.Progress(1, 0, 1, 0),
            ("another", 9): index.Progress(0, 70, 0, 0),
        }
        index.forget_segment(connection, writer, 1)
        assert index.progress(connection, writer, 1) == index.Progress()
        assert index.progress(connection, writer, 2).records == 1


def test_traces_are_marked(database: Database) -> None:
    made = [record() for _ in range(1200)]
    fill(database, made)
    with database.begin() as connection:
        index.mark_traces(connection, [item.id for item in made[:1100]], SENT)
        states = connection.execute(
            select(predictions.c.trace_state, func.count()).group_by(predictions.c.trace_state)
        )
        assert dict(map(tuple, states)) == {0: 100, SENT: 1100}


def test_totals_add_up(database: Database) -> None:
    for by in (5, 3, 1):
        with database.begin() as connection:
            index.bump(connection, "traces_sent", by)
            index.bump(connection, "rows_stored", 10 * by)
    with database.reading() as connection:
        assert index.totals(connection) == {"traces_sent": 9, "rows_stored": 90}


def test_a_reader_cannot_write(database: Database) -> None:
    with pytest.raises(LedgerUnavailableError), database.reading() as connection:
        index.bump(connection, "traces_sent", 1)
    with database.reading() as connection:
        assert index.totals(connection) == {}


def _index(settings: Settings, made: list[bytes], seed: int) -> None:
    """In a process of its own: index all in an order and in chunks of its own."""
    database = open_database(settings)
    records = [parse(payload) for payload in made]
    random.Random(seed).shuffle(records)
    for start in range(0, len(records), 100):
        with database.begin(durable=False) as connection:
            index.add(connection, records[start : start + 100], Segment(number=seed), start, 0)
    database.close()


@pytest.mark.slow
def test_two_processes_at_once_count_each_record_once(settings: Settings) -> None:
    """They meet in the same rows in different orders, from the making of the tables on."""
    made = [record(time=NOON + n, model=f"m{n % 3}") for n in range(1500)]
    context = multiprocessing.get_context("spawn")
    payloads = [item.raw for item in made]
    processes = [context.Process(target=_index, args=(settings, payloads, n)) for n in (1, 2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
    assert [process.exitcode for process in processes] == [0, 0]
    database = open_database(settings)
    assert counted(database) == (1500, 1500)
    with database.reading() as connection:
        found = minutes.closed(connection, minutes.minute_of(NOON) + 100, 1000)
        taken = index.all_progress(connection).values()
    assert sum(sum(minute.histogram.values()) for minute in found) == 1500
    assert sum(progress.records for progress in taken) == 1500
    database.close()


def test_a_killed_process_leaves_whole_chunks(settings: Settings) -> None:
    """Killed in the middle, again and again: the rows, the minutes and the progress agree."""
    made = [record(time=NOON + n, model=f"m{n % 3}") for n in range(3000)]
    context = multiprocessing.get_context("fork")
    database = open_database(settings)
    for pause in (0.05, 0.1, 0.2):
        # Nothing of the parent's connections is used by the child: it opens its own.
        process = context.Process(target=_index, args=(settings, [r.raw for r in made], 1))
        process.start()
        time.sleep(pause)
        process.kill()
        process.join(PATIENCE)
        rows, known = counted(database)
        with database.reading() as connection:
            assert rows == known == index.progress(connection, SEGMENT.writer, 1).records
    assert fill(database, made) == 3000 - rows
    assert counted(database) == (3000, 3000)
    database.close()


def test_a_thousand_rows_take_little_time(database: Database) -> None:
    """About 25 µs of this process for each row; the bar is for machines that do much besides."""
    made: list[Record] = [record(time=NOON + n / 1000, model=f"m{n % 5}") for n in range(5000)]
    fill(database, made[:1000])
    begun = time.process_time()
    fill(database, made[1000:])
    assert (time.process_time() - begun) / 4000 < 150e-6
