"""Finding a prediction in the journals, from the moment that it is written."""

import os
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.core.ids import new_id
from services.core.settings import Settings
from services.ledger.frames import HEADER, PREDICTION, encode
from services.ledger.journal import Journal
from services.ledger.lookup import born, find_in_journal, listed
from services.ledger.places import Places
from tests.conftest import MakeSettings
from tests.ledger.journals import record


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    return make_settings()


@pytest.fixture
def places(settings: Settings) -> Places:
    return Places(settings.data_dir)


@pytest.fixture
def journal(settings: Settings) -> Iterator[Journal]:
    opened = Journal(settings)
    yield opened
    opened.close()


def write(journal: Journal, **values: Any) -> str:
    made = record(**values)
    journal.append(orjson.dumps(made))
    return str(made["id"])


def segment_of(places: Places, *payloads: bytes, writer: str = "w", number: int = 1) -> Path:
    """Write a sealed segment by hand."""
    path = places.journal / writer / f"{number:08d}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = [
        payload if payload[:1] == b"\xa5" else encode(PREDICTION, payload) for payload in payloads
    ]
    path.write_bytes(b"".join([encode(HEADER, b"{}"), *frames]))
    return path


def test_it_is_there_as_soon_as_it_is_written(journal: Journal, places: Places) -> None:
    ids = [write(journal, input={"number": number}) for number in range(300)]
    for number in (0, 1, 150, 299):
        found = find_in_journal(places, ids[number])
        assert found is not None
        assert (found.id, found.input) == (ids[number], {"number": number})
    assert find_in_journal(places, new_id()) is None


def test_without_a_journal_there_is_nothing(places: Places) -> None:
    assert find_in_journal(places, new_id()) is None


def test_nothing_is_changed_by_looking(journal: Journal, places: Places) -> None:
    write(journal)
    dead = places.journal / new_id()
    dead.mkdir()
    (dead / "lock").touch()
    (dead / "00000001.open").write_bytes(encode(PREDICTION, orjson.dumps(record())))
    before = sorted(places.journal.rglob("*"))
    find_in_journal(places, new_id())
    assert sorted(places.journal.rglob("*")) == before
    assert {segment.sealed for segment, _ in listed(places.journal)} == {False}


def test_every_writer_and_segment_is_looked_through(make_settings: MakeSettings) -> None:
    settings = make_settings(ledger_segment_bytes=4096)
    journals = [Journal(settings), Journal(settings)]
    ids = [write(journals[number % 2]) for number in range(60)]
    places = Places(settings.data_dir)
    assert sum(1 for _ in listed(places.journal)) > 8
    for wanted in ids:
        found = find_in_journal(places, wanted)
        assert found is not None and found.id == wanted
    for one in journals:
        one.close()
    assert all(find_in_journal(places, wanted) for wanted in ids)


def test_while_segments_are_sealed_and_removed(make_settings: MakeSettings) -> None:
    """As with a gateway that writes, and a shipper that cleans up behind it."""
    settings = make_settings(ledger_segment_bytes=4096)
    journal, places = Journal(settings), Places(settings.data_dir)
    done = threading.Event()

    def clean() -> None:
        while not done.is_set():
            sealed = sorted(places.journal.rglob("*.log"))
            for path in sealed[:-5]:
                path.unlink(missing_ok=True)

    cleaner = threading.Thread(target=clean)
    cleaner.start()
    try:
        for _ in range(300):
            wanted = write(journal)
            found = find_in_journal(places, wanted)
            assert found is not None and found.id == wanted
    finally:
        done.set()
        cleaner.join()
        journal.close()


def test_an_id_that_others_mention_is_not_mistaken(journal: Journal, places: Places) -> None:
    wanted = new_id()
    mention = {"text": f'{{"v":1,"id":"{wanted}"}}', "ids": [wanted] * 50}
    write(journal, input=mention, request_id=wanted)
    assert find_in_journal(places, wanted) is None
    write(journal, id=wanted, model="it")
    write(journal, input=mention)
    found = find_in_journal(places, wanted)
    assert found is not None and found.model == "it"


def test_text_that_looks_like_a_frame(places: Places) -> None:
    wanted = new_id()
    fake = encode(PREDICTION, orjson.dumps(record(id=wanted, model="fake"))).decode("latin-1")
    segment_of(places, orjson.dumps(record(input=fake)))
    assert find_in_journal(places, wanted) is None


@pytest.mark.parametrize("size", [100_000, 300_000, 3_000_000])
def test_large_records(places: Places, size: int) -> None:
    first, second, third = (record(input="x" * size, id=new_id()) for _ in range(3))
    segment_of(places, *(orjson.dumps(one) for one in (first, second, third)))
    for one in (first, second, third):
        found = find_in_journal(places, one["id"])
        assert found is not None and found.id == one["id"] and len(found.input) == size


def test_an_id_across_two_pieces_that_are_read(places: Places) -> None:
    """Every place of the id relative to the border of 256 KiB."""
    for shift in range(0, 120, 7):
        made = record()
        before = orjson.dumps(record(input="x" * (256 * 1024 - 900 + shift)))
        segment_of(places, before, orjson.dumps(made))
        found = find_in_journal(places, made["id"])
        assert found is not None and found.id == made["id"]


def test_damage_around_it_does_no_harm(places: Places) -> None:
    made, torn = record(), record()
    half = encode(PREDICTION, orjson.dumps(torn))[:-20]
    rotten = bytearray(encode(PREDICTION, orjson.dumps(record())))
    rotten[40] ^= 0xFF
    segment_of(places, b"\xa5rubbish", bytes(rotten), orjson.dumps(made), half)
    found = find_in_journal(places, made["id"])
    assert found is not None and found.id == made["id"]
    # Its writer died while writing it.
    assert find_in_journal(places, torn["id"]) is None


def test_what_is_indexed_is_not_looked_through(places: Places) -> None:
    first, second = record(), record()
    path = segment_of(places, orjson.dumps(first), orjson.dumps(second))
    border = len(encode(HEADER, b"{}") + encode(PREDICTION, orjson.dumps(first)))
    assert find_in_journal(places, first["id"], {("w", 1): border}) is None
    assert find_in_journal(places, second["id"], {("w", 1): border}) is not None
    assert find_in_journal(places, second["id"], {("w", 1): path.stat().st_size}) is None
    assert find_in_journal(places, second["id"], {("w", 2): border}) is not None


def test_the_time_in_the_id_narrows_it_down(places: Places) -> None:
    made = record()
    path = segment_of(places, orjson.dumps(made))
    day = 86_400
    # Ended a day before the id was made: it cannot be in there.
    os.utime(path, (time.time() - day,) * 2)
    assert find_in_journal(places, made["id"]) is None
    # A clock that was set by half an hour does no harm.
    os.utime(path, (time.time() - 1800,) * 2)
    assert find_in_journal(places, made["id"]) is not None
    os.utime(path, (time.time() + day,) * 2)
    assert find_in_journal(places, made["id"]) is None


def test_an_id_without_a_time(places: Places) -> None:
    made = record(id=str(uuid.uuid4()))
    segment_of(places, orjson.dumps(made))
    found = find_in_journal(places, made["id"])
    assert found is not None and found.id == made["id"]
    assert born(made["id"]) is None
    assert born(new_id()) == pytest.approx(time.time(), abs=1)


def test_what_is_no_journal_is_left_alone(places: Places) -> None:
    made = record()
    segment_of(places, orjson.dumps(made))
    (places.journal / "w" / "notes.log").write_text(made["id"])
    (places.journal / "stray").write_text("x")
    assert [segment.number for segment, _ in listed(places.journal)] == [1]
