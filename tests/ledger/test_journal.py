"""The journal: nothing written is lost, and nothing is half-written."""

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path

import pytest

from services.core.errors import ConfigurationError, LedgerFullError
from services.ledger.journal import Journal, check_writable
from services.ledger.reading import read, remove, segments
from tests.conftest import MakeSettings
from tests.ledger.journals import all_payloads, journal_of
from tests.support.patience import PATIENCE

_CHILD = """
import sys
from pathlib import Path
from services.core.settings import load_settings
from services.ledger.journal import Journal
journal = Journal(load_settings(data_dir=Path(sys.argv[1]), ledger_segment_bytes=20_000))
number = 0
while True:
    journal.append(b'{"n":%d,"pad":"%s"}' % (number, b"x" * 500))
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
    number += 1
"""


@pytest.fixture
def journal(make_settings: MakeSettings) -> Iterator[Journal]:
    made = Journal(make_settings(ledger_segment_bytes=4096, ledger_sync_seconds=0.01))
    yield made
    made.close()


def test_a_record_can_be_read_as_soon_as_it_is_written(journal: Journal, tmp_path: Path) -> None:
    assert journal.append(b'{"n":1}') is None
    assert all_payloads(tmp_path) == [b'{"n":1}']


def test_segments_end_at_their_size_and_keep_the_order(journal: Journal, tmp_path: Path) -> None:
    written = [b'{"n":%d,"pad":"%s"}' % (number, b"x" * 300) for number in range(50)]
    for payload in written:
        journal.append(payload)
    found = segments(journal_of(tmp_path))
    assert len(found) > 3
    assert [one.sealed for one in found] == [True] * (len(found) - 1) + [False]
    assert all(one.size <= 4096 for one in found)
    assert all_payloads(tmp_path) == written


def test_a_record_larger_than_a_segment_is_written_all_the_same(
    journal: Journal, tmp_path: Path
) -> None:
    large = b'"' + b"x" * 6_000_000 + b'"'
    for payload in (b"1", large, b"2"):
        journal.append(payload)
    assert all_payloads(tmp_path) == [b"1", large, b"2"]


def test_a_segment_ends_by_age(make_settings: MakeSettings, tmp_path: Path) -> None:
    journal = Journal(make_settings(ledger_segment_seconds=0.2, ledger_sync_seconds=0.01))
    try:
        journal.append(b"1")
        until = time.monotonic() + PATIENCE
        while not any(one.sealed for one in segments(journal_of(tmp_path))):
            assert time.monotonic() < until
            time.sleep(0.02)
    finally:
        journal.close()
    assert all_payloads(tmp_path) == [b"1"]


def test_an_empty_journal_leaves_nothing_behind(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    Journal(make_settings()).close()
    assert segments(journal_of(tmp_path)) == []
    assert list(journal_of(tmp_path).iterdir()) == []


def test_closing_seals_everything(make_settings: MakeSettings, tmp_path: Path) -> None:
    journal = Journal(make_settings())
    journal.append(b"1")
    journal.close()
    (only,) = segments(journal_of(tmp_path))
    assert only.sealed
    assert read(only, 0).finished
    remove(only)
    assert list(journal_of(tmp_path).iterdir()) == []


def test_a_live_writers_segment_is_left_alone(journal: Journal, tmp_path: Path) -> None:
    journal.append(b"1")
    (only,) = segments(journal_of(tmp_path))
    assert not only.sealed
    assert not read(only, 0).finished


def test_what_a_dying_writer_left_half_made_is_cleared_away(tmp_path: Path) -> None:
    draft = journal_of(tmp_path) / ".half-made"
    draft.mkdir(parents=True)
    (draft / "lock").touch()
    assert segments(journal_of(tmp_path)) == []
    assert draft.exists()
    os.utime(draft, (1, 1))
    assert segments(journal_of(tmp_path)) == []
    assert not draft.exists()


def test_closing_twice_is_once(make_settings: MakeSettings) -> None:
    journal = Journal(make_settings())
    journal.append(b"1")
    journal.close()
    journal.close()


def test_strict_waits_for_the_disk(make_settings: MakeSettings, tmp_path: Path) -> None:
    # An upkeep every minute only: who waits wakes the thread.
    journal = Journal(make_settings(ledger_durability="strict", ledger_sync_seconds=60))
    try:
        waiting = [journal.append(b"%d" % number) for number in range(100)]
        futures = [one for one in waiting if one is not None]
        assert len(futures) == 100
        done, late = wait(futures, timeout=PATIENCE)
        assert not late
        assert all(one.exception() is None for one in done)
    finally:
        journal.close()
    assert len(all_payloads(tmp_path)) == 100


def test_many_threads_write_whole_records(journal: Journal, tmp_path: Path) -> None:
    def write(thread: int) -> None:
        for number in range(200):
            journal.append(b'{"thread":%d,"n":%d}' % (thread, number))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = all_payloads(tmp_path)
    assert len(found) == 800
    for number in range(4):
        own = [payload for payload in found if payload.startswith(b'{"thread":%d,' % number)]
        assert own == [b'{"thread":%d,"n":%d}' % (number, n) for n in range(200)]


def test_a_killed_writer_loses_nothing_that_it_reported(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    reported = -1
    for line in child.stdout:
        reported = int(line)
        if reported >= 300:
            break
    os.kill(child.pid, signal.SIGKILL)
    reported = max([reported, *(int(line) for line in child.stdout.read().split())])
    child.wait(PATIENCE)
    child.stdout.close()
    found = segments(journal_of(tmp_path))
    assert all(one.sealed for one in found)
    numbers = [int(payload[5 : payload.index(b",")]) for payload in all_payloads(tmp_path)]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > reported


def test_a_torn_end_is_counted_and_nothing_else_is_lost(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    journal = Journal(make_settings())
    for number in range(3):
        journal.append(b'{"n":%d}' % number)
    journal.close()
    (only,) = segments(journal_of(tmp_path))
    with only.path.open("r+b") as file:
        file.truncate(only.size - 2)
    (only,) = segments(journal_of(tmp_path))
    chunk = read(only, 0)
    assert [entry.payload for entry in chunk.records] == [b'{"n":0}', b'{"n":1}']
    assert chunk.finished
    assert chunk.damaged == 12 + 7 - 2
    assert chunk.next_offset == only.size


def test_reading_goes_on_where_it_stopped(journal: Journal, tmp_path: Path) -> None:
    journal.append(b"1")
    (segment,) = segments(journal_of(tmp_path))
    first = read(segment, 0)
    journal.append(b"2")
    again = read(segment, first.next_offset)
    assert [entry.payload for entry in again.records] == [b"2"]
    assert read(segment, again.next_offset).records == []


def test_the_bound_is_kept(make_settings: MakeSettings) -> None:
    journal = Journal(make_settings(ledger_max_bytes=64 * 1024, ledger_sync_seconds=0.01))
    try:
        journal.space.check()
        for _ in range(70):
            journal.append(b"x" * 1000)
        with pytest.raises(LedgerFullError, match="LEDGER_MAX_BYTES") as raised:
            journal.space.check()
        assert raised.value.retry_after
    finally:
        journal.close()


def test_room_that_comes_back_is_noticed(make_settings: MakeSettings, tmp_path: Path) -> None:
    settings = make_settings(
        ledger_max_bytes=64 * 1024, ledger_sync_seconds=0.01, ledger_segment_bytes=8192
    )
    journal = Journal(settings)
    try:
        for _ in range(70):
            journal.append(b"x" * 1000)
        assert journal.space.full
        for segment in segments(journal_of(tmp_path)):
            if segment.sealed:
                remove(segment)
        until = time.monotonic() + PATIENCE
        while journal.space.full:
            assert time.monotonic() < until
            time.sleep(0.02)
        journal.append(b"more")
    finally:
        journal.close()


def test_a_disk_that_takes_no_more(make_settings: MakeSettings, tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: write(2) fails in the same places."""
    journal = Journal(make_settings(ledger_segment_bytes=10**6, ledger_sync_seconds=0.01))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    written = 0
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
        while written < 100:
            try:
                journal.append(b"x" * 1000)
            except LedgerFullError:
                break
            written += 1
        assert 15 < written < 20
        with pytest.raises(LedgerFullError):
            journal.space.check()
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        until = time.monotonic() + PATIENCE
        while journal.space.full:
            assert time.monotonic() < until
            time.sleep(0.02)
        journal.append(b"after")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
        journal.close()
    assert all_payloads(tmp_path) == [b"x" * 1000] * written + [b"after"]


def test_a_folder_that_cannot_be_written_is_a_setting_to_correct(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    (tmp_path / "ledger").write_text("in the way")
    for begin in (Journal, check_writable):
        with pytest.raises(ConfigurationError) as raised:
            begin(make_settings())
        assert raised.value.where == "DATA_DIR"
