"""A journal that is damaged between the death of its gateway and the next start."""

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from services.ledger.frames import HEAD_BYTES
from services.ledger.places import Places
from services.ledger.reading import Segment, read, segments
from services.ledger.records import parse
from tests.chaos.records import evidence
from tests.chaos.records.conftest import Start
from tests.chaos.records.load import Load
from tests.support.server import Server, running

pytestmark = pytest.mark.slow

_FEW = 200
Damage = Callable[[Path, int, int], None]


def overwrite(path: Path, place: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(data)


def flip(path: Path, start: int, end: int) -> None:
    """One bit of the record."""
    data = path.read_bytes()
    middle = (start + HEAD_BYTES + end) // 2
    overwrite(path, middle, bytes([data[middle] ^ 1]))


def magic(path: Path, start: int, end: int) -> None:
    """What a frame begins with."""
    overwrite(path, start, b"???")


def length(path: Path, start: int, end: int) -> None:
    """A length that reaches far behind the end of the file."""
    overwrite(path, start + 4, (60_000_000).to_bytes(4, "little"))


def zeros(path: Path, start: int, end: int) -> None:
    """What a disk may make of a block that it never wrote."""
    overwrite(path, start, bytes(end - start))


def cut(path: Path, start: int, end: int) -> None:
    """The record's last bytes are gone, and all behind them."""
    with path.open("r+b") as file:
        file.truncate(end - 7)


def cut_head(path: Path, start: int, end: int) -> None:
    """Only a part of the frame's head is there."""
    with path.open("r+b") as file:
        file.truncate(start + 5)


@pytest.fixture(scope="module")
def former(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """A folder that a killed gateway left behind, and what it had answered."""
    folder = tmp_path_factory.mktemp("former")
    with running(folder, module="tests.chaos.records.serve_echo", LEDGER_SHIPPER="off") as server:
        return folder, killed(server)


@pytest.fixture
def answered(former: tuple[Path, set[str]], places: Places) -> set[str]:
    """Return what a gateway had answered before it was killed; what it left behind is ours."""
    shutil.copytree(Places(former[0]).root, places.root)
    return former[1]


@pytest.mark.parametrize("damage", [flip, magic, length, zeros])
def test_in_its_middle(
    answered: set[str], places: Places, shipped: Callable[[], None], damage: Damage
) -> None:
    segment, entries = the_segment(places)
    hit = entries[len(entries) // 2]
    damage(segment.path, *hit[1:])
    shipped()
    assert evidence.in_database(places.database) == answered - {hit[0]}
    assert evidence.totals(places.database)["damaged_bytes"] == hit[2] - hit[1]


@pytest.mark.parametrize("damage", [cut, cut_head])
def test_in_its_last_bytes(
    start: Start,
    answered: set[str],
    places: Places,
    shipped: Callable[[], None],
    damage: Damage,
) -> None:
    segment, entries = the_segment(places)
    hit = entries[-1]
    damage(segment.path, *hit[1:])
    left = segment.path.stat().st_size - hit[1]
    after = killed(start())
    shipped()
    assert evidence.in_database(places.database) == answered - {hit[0]} | after
    assert evidence.totals(places.database)["damaged_bytes"] == left


def test_with_rubbish_behind_it(
    answered: set[str], places: Places, shipped: Callable[[], None]
) -> None:
    segment, _ = the_segment(places)
    with segment.path.open("ab") as file:
        file.write(bytes(range(256)) * 40)
    shipped()
    assert evidence.in_database(places.database) == answered
    assert evidence.totals(places.database)["damaged_bytes"] == 256 * 40


def test_of_which_nothing_is_left(
    start: Start, answered: set[str], places: Places, shipped: Callable[[], None]
) -> None:
    segment, _ = the_segment(places)
    size = segment.path.stat().st_size
    segment.path.write_bytes(b"\xa5" * size)
    after = killed(start())
    shipped()
    assert evidence.in_database(places.database) == after
    assert evidence.totals(places.database)["damaged_bytes"] == size


def killed(server: Server) -> set[str]:
    """Let a gateway answer some, and kill it once all have been answered; return which."""
    load = Load(server.port, _FEW)
    load.start()
    load.finish()
    server.signal(signal.SIGKILL)
    server.wait()
    assert not load.outcomes.broken
    return set(load.outcomes.answered)


def the_segment(places: Places) -> tuple[Segment, list[tuple[str, int, int]]]:
    """Return the only segment, and each record's id, start and end."""
    (segment,) = segments(places.journal)
    entries = read(segment, 0).records
    return segment, [(parse(entry.payload).id, entry.start, entry.end) for entry in entries]
