"""Downloads against a real server: interruption, resumption, and servers that change or lie."""

import threading
from collections import deque
from pathlib import Path

import pytest

from services.cli.weights import download
from services.cli.weights.download import Patience, fetch, open_client
from services.cli.weights.errors import DownloadError
from services.cli.weights.part import Part
from services.core.errors import NotFoundError
from tests.cli.file_server import FileServer
from tests.support.patience import PATIENCE

BODY = bytes(range(256)) * 4096
QUICK = Patience(attempts=3, first_wait=0.01, longest_wait=0.02)


class Listener:
    def __init__(self) -> None:
        self.starts: list[int] = []
        self.notices: list[str] = []

    def started(self, done: int, size: int | None) -> None:
        self.starts.append(done)

    def advanced(self, done: int) -> None:
        return

    def noticed(self, message: str) -> None:
        self.notices.append(message)


@pytest.fixture
def part(tmp_path: Path) -> Part:
    return Part(tmp_path / "weights.pth")


def get(
    server: FileServer, part: Part, *, url: str | None = None, timeout: float = PATIENCE
) -> Listener:
    listener = Listener()
    with open_client(timeout) as client:
        fetch(url or server.url, part, client, listener, QUICK)
    return listener


def begin(server: FileServer, part: Part, cut: int = 1000) -> None:
    """Leave a part behind, as a process that was killed does."""
    server.cuts = deque([cut, 0, 0, 0])
    with pytest.raises(DownloadError):
        get(server, part)
    server.cuts.clear()
    server.seen.clear()


def test_a_whole_file_arrives(part: Part) -> None:
    with FileServer(BODY) as server:
        get(server, part)
    assert part.path.read_bytes() == BODY
    assert part.complete()


def test_a_cut_connection_is_taken_up_where_it_broke(part: Part) -> None:
    with FileServer(BODY, cuts=deque([100_000, 200_000])) as server:
        listener = get(server, part)
        assert server.seen == [None, "bytes=100000-", "bytes=300000-"]
    assert part.path.read_bytes() == BODY
    assert listener.starts == [0, 100_000, 300_000]
    assert len(listener.notices) == 2


def test_many_cuts_are_survived_as_long_as_each_attempt_brings_something(part: Part) -> None:
    with FileServer(BODY, cuts=deque([50_000] * 20)) as server:
        get(server, part)
    assert part.path.read_bytes() == BODY


def test_a_later_process_goes_on(part: Part) -> None:
    with FileServer(BODY) as server:
        begin(server, part, cut=123_456)
        get(server, part)
        assert server.seen == ["bytes=123456-"]
    assert part.path.read_bytes() == BODY


def test_a_complete_part_needs_no_server(part: Part) -> None:
    with FileServer(BODY) as server:
        get(server, part)
        url = server.url
        server.seen.clear()
        get(server, part, url=url)
        assert server.seen == []


def test_a_file_that_changed_on_the_server_is_started_again(part: Part) -> None:
    with FileServer(BODY) as server:
        begin(server, part)
        server.etag, server.body = '"two"', BODY[::-1]
        listener = get(server, part)
    assert part.path.read_bytes() == BODY[::-1]
    assert "starting again" in listener.notices[0]


def test_a_server_without_ranges_is_started_again(part: Part) -> None:
    with FileServer(BODY) as server:
        begin(server, part)
        server.ranges = False
        get(server, part)
    assert part.path.read_bytes() == BODY


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_validator_nothing_is_joined(part: Part, etag: str | None) -> None:
    with FileServer(BODY, etag=etag) as server:
        begin(server, part)
        get(server, part)
        assert server.seen == [None]
    assert part.path.read_bytes() == BODY


def test_a_range_of_another_size_is_not_joined(part: Part) -> None:
    with FileServer(BODY) as server:
        begin(server, part)
        server.announced = len(BODY) + 5
        get(server, part)
        assert server.seen == ["bytes=1000-", None]
    assert part.path.read_bytes() == BODY


def test_a_file_that_shrank_under_the_same_tag_is_started_again(part: Part) -> None:
    with FileServer(BODY) as server:
        begin(server, part)
        server.body = BODY[:500]
        get(server, part)
    assert part.path.read_bytes() == BODY[:500]


def test_a_part_of_another_address_is_not_used(part: Part) -> None:
    with FileServer(BODY) as first, FileServer(BODY[::-1]) as second:
        begin(first, part)
        get(second, part)
        assert second.seen == [None]
    assert part.path.read_bytes() == BODY[::-1]


def test_a_damaged_note_starts_again(part: Part, tmp_path: Path) -> None:
    with FileServer(BODY) as server:
        begin(server, part)
        (tmp_path / "weights.pth.part.json").write_text("{")
        get(server, part)
        assert server.seen == [None]
    assert part.path.read_bytes() == BODY


def test_a_server_in_trouble_is_asked_again(part: Part) -> None:
    with FileServer(BODY, statuses=deque([503, 429])) as server:
        listener = get(server, part)
    assert part.path.read_bytes() == BODY
    assert "503" in listener.notices[0]


def test_patience_ends_and_keeps_what_arrived(part: Part) -> None:
    with FileServer(BODY, cuts=deque([5000, *[0] * 50])) as server:
        with pytest.raises(DownloadError, match="5,000 bytes so far are kept"):
            get(server, part)
        assert len(server.seen) == 4  # one that brought something, three in a row that did not
    assert part.size() == 5000


def test_a_missing_file_is_not_asked_for_again(part: Part) -> None:
    with FileServer(BODY, statuses=deque([404] * 9)) as server:
        with pytest.raises(NotFoundError, match="404"):
            get(server, part)
        assert len(server.seen) == 1


def test_a_refusal_is_final(part: Part) -> None:
    with (
        FileServer(BODY, statuses=deque([403] * 9)) as server,
        pytest.raises(DownloadError, match="403"),
    ):
        get(server, part)


def test_nobody_listening(part: Part) -> None:
    with FileServer(BODY) as server:
        url = server.url
    with pytest.raises(DownloadError, match="no connection to the server"):
        get(server, part, url=url)


def test_a_silent_server_is_given_up(part: Part) -> None:
    stall = threading.Event()
    with (
        FileServer(BODY, cuts=deque([10, *[0] * 9]), stall=stall) as server,
        pytest.raises(DownloadError, match="silent for too long"),
    ):
        get(server, part, timeout=0.5)
    assert part.size() == 10


def test_a_full_disk_is_noticed_before_the_first_byte(
    part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_SPARE", 1 << 60)
    with FileServer(BODY) as server, pytest.raises(DownloadError, match="free on the disk"):
        get(server, part)
    assert part.size() == 0
