"""Dead letters: written for good, read back, taken out one by one. Sending: with MLflow, below."""

import multiprocessing
from pathlib import Path

import orjson
import pytest

from services.core.errors import NotFoundError
from services.ledger.places import Places
from services.ledger.shipping import deadletters
from services.ledger.shipping.deadletters import FEEDBACK, TRACES
from tests.conftest import settings_for_tests
from tests.ledger.shipping.storing import opened


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def numbered(*numbers: int) -> list[tuple[bytes, str]]:
    return [(orjson.dumps({"id": number}), f"reason {number}") for number in numbers]


def test_no_letters(places: Places) -> None:
    assert deadletters.letters(places) == []
    assert deadletters.count(places) == 0
    deadletters.append(places, TRACES, [])
    assert not places.dead.exists()


def test_a_letter_is_read_as_it_was_written(places: Places) -> None:
    deadletters.append(places, TRACES, numbered(1, 2))
    deadletters.append(places, FEEDBACK, numbered(3))
    assert [one.record for one in deadletters.letters(places, TRACES)] == [{"id": 1}, {"id": 2}]
    (letter,) = deadletters.letters(places, FEEDBACK)
    assert (letter.sink, letter.error, letter.record) == (FEEDBACK, "reason 3", {"id": 3})
    assert letter.time > 1.7e9
    assert deadletters.counts(places) == {TRACES: 2, FEEDBACK: 1}
    assert deadletters.count(places) == len(deadletters.letters(places)) == 3


def test_letters_that_go_leave_the_others(places: Places) -> None:
    deadletters.append(places, TRACES, numbered(1, 2, 3))
    deadletters.remove(places, deadletters.letters(places)[1:2])
    deadletters.append(places, TRACES, numbered(4))
    assert [one.record["id"] for one in deadletters.letters(places)] == [1, 3, 4]
    deadletters.remove(places, deadletters.letters(places))
    assert not list(places.dead.iterdir())


def test_what_came_meanwhile_stays(places: Places) -> None:
    deadletters.append(places, TRACES, numbered(1))
    known = deadletters.letters(places)
    deadletters.append(places, TRACES, numbered(2))
    deadletters.remove(places, known)
    assert [one.record["id"] for one in deadletters.letters(places)] == [2]


def test_a_torn_line_costs_itself_only(places: Places) -> None:
    deadletters.append(places, TRACES, numbered(1))
    with (places.dead / "traces.jsonl").open("ab") as file:
        file.write(b'{"time":1,"sink":"tra')
    deadletters.append(places, TRACES, numbered(2))
    assert [one.record["id"] for one in deadletters.letters(places)] == [1, 2]


def test_the_files_stay_bounded(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadletters, "_MOST_BYTES", 2_000)
    for number in range(200):
        deadletters.append(places, TRACES, numbered(number))
    assert sum(file.stat().st_size for file in places.dead.iterdir()) <= 4_000
    left = [one.record["id"] for one in deadletters.letters(places)]
    # The newest are there, in two stretches of one.
    assert sorted(left) == list(range(200 - len(left), 200))
    assert deadletters.counts(places) == {TRACES: len(left)}


def _write(data_dir: Path, first: int) -> None:
    for number in range(first, first + 15):
        deadletters.append(Places(data_dir), TRACES, numbered(number))


@pytest.mark.slow
def test_several_processes_write_and_one_takes_out(tmp_path: Path, places: Places) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(tmp_path, 100 * n)) for n in range(2)]
    for writer in writers:
        writer.start()
    gone: list[int] = []
    while any(writer.is_alive() for writer in writers):
        some = deadletters.letters(places)[:5]
        deadletters.remove(places, some)
        gone += [one.record["id"] for one in some]
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    gone += [one.record["id"] for one in deadletters.letters(places)]
    assert sorted(gone) == [*range(15), *range(100, 115)]


def test_only_known_sinks_are_sent_again(tmp_path: Path) -> None:
    settings = settings_for_tests(data_dir=tmp_path)
    with opened(settings) as ledger:
        with pytest.raises(NotFoundError):
            deadletters.resend(*ledger.stage, "nonsense")
        deadletters.append(ledger.places, deadletters.RECORDS, numbered(1))
        result = deadletters.resend(*ledger.stage, deadletters.RECORDS)
    assert (result.sent, result.left) == (0, 1)
    assert result.reason
