"""The disk takes no more: nothing is answered that is not on record, and it goes on by itself."""

import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from services.ledger.places import Places
from tests.chaos.records import evidence
from tests.chaos.records.conftest import Start
from tests.chaos.records.load import Load
from tests.chaos.records.stand import wait_for
from tests.support.patience import PATIENCE
from tests.support.server import Server

pytestmark = pytest.mark.slow

_SIZE = "24m"
_MORE = 300


@pytest.fixture
def small_disk(places: Places) -> Iterator[Path]:
    """Put the ledger on a disk of its own; that needs a system that lets us mount one."""
    places.root.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "chaos", str(places.root)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no right to mount a small disk here; the test with a limit still runs")
    try:
        yield places.root
    finally:
        subprocess.run(["umount", "--lazy", str(places.root)], check=True)


def test_a_full_disk(start: Start, small_disk: Path, places: Places) -> None:
    server = start(LEDGER_SEGMENT_SECONDS=0.2)
    load = Load(server.port, 1_000_000)
    load.start()
    try:
        load.wait(_MORE, PATIENCE)
        fill(small_disk / "ballast")
        wait_for(lambda: refusals(load) > 20, PATIENCE)
        refusal(server)
        (small_disk / "ballast").unlink()
        load.wait(load.count + _MORE, PATIENCE)
    finally:
        load.stop()
    check(load, places)


def test_a_limit_that_shows_in_no_figure(start: Start, places: Places) -> None:
    """As a quota does, a limit on the size of files fails writes in their middle."""
    server = start(LEDGER_SEGMENT_SECONDS=0.2)
    load = Load(server.port, 1_000_000)
    load.start()
    try:
        for size in (10_000, 50):
            load.wait(load.count + _MORE, PATIENCE)
            seen = refusals(load)
            limit(server, size)
            wait_for(lambda seen=seen: refusals(load) > seen + 20, PATIENCE)  # type: ignore[misc]
            refusal(server)
            limit(server, resource.RLIM_INFINITY)
        load.wait(load.count + _MORE, PATIENCE)
    finally:
        load.stop()
    check(load, places)


def fill(ballast: Path) -> None:
    """Write until the disk takes not a byte more."""
    size = 1 << 20
    with ballast.open("wb", buffering=0) as file:
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2


def limit(server: Server, size: int) -> None:
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def refusals(load: Load) -> int:
    return load.outcomes.statuses().get(503, 0)


def refusal(server: Server) -> None:
    """See that a refusal says what is wrong, and when to come again."""
    answer = httpx.post(f"{server.url}/predict", json={"features": [1.0]}, timeout=PATIENCE)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "ledger_full"
    assert int(answer.headers["Retry-After"]) >= 1


def check(load: Load, places: Places) -> None:
    """See that what was answered is on record, once, and what was refused is not."""
    outcomes = load.outcomes
    assert set(outcomes.statuses()) == {503}
    journal = evidence.in_journal(places)
    assert set(outcomes.answered) <= set(journal)
    assert set(journal.values()) == {1}
    # Those under way when the test ended.
    assert len(journal) - len(outcomes.answered) <= len(outcomes.broken)
