"""The disk of the blobs takes no more: what needs one is refused before its 202."""

import hashlib
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from services.ledger.database.job_rows import SUCCEEDED
from tests.chaos.jobs import evidence
from tests.chaos.jobs.conftest import MakeStand
from tests.chaos.jobs.crew import ChaosStand, Gateway
from tests.chaos.jobs.posting import post
from tests.chaos.records.test_disk import fill
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.slow

_SIZE = "4m"
_LARGE = "x" * 300_000
_MOST = 60


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a small disk; that needs a system that lets us."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "chaos", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no right to mount a small disk here; the test with a limit still runs")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk(make_stand: MakeStand, small_disk: Path) -> None:
    blobs = small_disk / "blobs"
    stand = make_stand(job_blobs=str(blobs))
    gateway = stand.gateway()
    accepted = until_full(gateway)
    assert accepted
    fill(small_disk / "ballast")
    refusal(gateway)
    check_blobs(stand, blobs, accepted)
    # What fits into its row still is accepted.
    with client(gateway) as asking:
        small = post(asking, {"do": "echo", "echo": -1}).json()["id"]
    (small_disk / "ballast").unlink()
    finish(stand, [small])


def test_a_limit_that_shows_in_no_figure(make_stand: MakeStand, tmp_path: Path) -> None:
    """As a quota does, a limit on the size of files fails writes in their middle."""
    blobs = tmp_path / "blobs"
    stand = make_stand(job_blobs=str(blobs))
    gateway = stand.gateway()
    with client(gateway) as asking:
        first = post(asking, {"do": "echo", "echo": 0, "text": _LARGE}).json()["id"]
        # The database, too, must fit: its files are larger than this after the first job.
        limit(gateway, 100_000)
        refusal(gateway)
        check_blobs(stand, blobs, {first: 0})
        limit(gateway, resource.RLIM_INFINITY)
        second = post(asking, {"do": "echo", "echo": 1, "text": _LARGE + "1"}).json()["id"]
    check_blobs(stand, blobs, {first: 0, second: 1})
    finish(stand, [first, second])


def until_full(gateway: Gateway) -> dict[str, int]:
    """Ask, with something large each time, until that is refused; return what was accepted."""
    accepted: dict[str, int] = {}
    with client(gateway) as asking:
        for number in range(_MOST):
            answer = post(asking, {"do": "echo", "echo": number, "text": f"{number}{_LARGE}"})
            if answer.status_code == 503:
                return accepted
            assert answer.status_code == 202, answer.text
            accepted[answer.json()["id"]] = number
    raise AssertionError("the disk is not full")


def refusal(gateway: Gateway) -> None:
    """See that a refusal says what is wrong, and when to come again."""
    with client(gateway) as asking:
        answer = post(asking, {"do": "echo", "text": f"other {_LARGE}"})
    assert answer.status_code == 503, answer.text
    assert answer.json()["error"]["code"] == "ledger_full"
    assert int(answer.headers["Retry-After"]) >= 1


def check_blobs(stand: ChaosStand, blobs: Path, accepted: dict[str, int]) -> None:
    """See that every job has its blob, whole, and that there is nothing else, not even in part."""
    jobs = evidence.all_jobs(stand)
    assert set(jobs) == set(accepted)
    files = {path.name: path for path in blobs.rglob("*") if path.is_file()}
    assert set(files) == {job.payload for job in jobs.values()}
    for name, path in files.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == name.partition(".")[0]


def finish(stand: ChaosStand, ids: list[str]) -> None:
    """Let what was accepted be done."""
    stand.beat()
    stand.worker()
    evidence.wait_ended(stand, PATIENCE)
    assert {stand.job(id).state for id in ids} == {SUCCEEDED}
    assert {job.state for job in evidence.all_jobs(stand).values()} == {SUCCEEDED}


def client(gateway: Gateway) -> httpx.Client:
    return httpx.Client(base_url=gateway.url, timeout=PATIENCE)


def limit(gateway: Gateway, size: int) -> None:
    pid = gateway.running.pid
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
