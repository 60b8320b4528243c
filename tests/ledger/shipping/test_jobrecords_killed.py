"""Records of jobs reach their journal exactly once, at whatever moment the shipper is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from services.core.settings import Settings
from services.ledger.database.opening import open_database
from services.ledger.places import Places
from services.ledger.reading import segments
from tests.conftest import MakeSettings
from tests.ledger.shipping.moving import add, counts, kept
from tests.support.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]
ROOT = Path(__file__).parents[3]
_QUICK = (
    "claimed", "half written", "appended", "indexed", "deletion not committed",
    "appended, then in the transaction",
)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "points"), [("sqlite", _QUICK), pytest.param("postgresql", (), marks=pytest.mark.slow)]
)
def test_a_kill_at_any_point(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, points: tuple[str, ...]
) -> None:
    url = "" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    done = subprocess.run(
        [sys.executable, "-m", "tests.ledger.shipping.kill_movers", str(tmp_path), url, *points],
        cwd=ROOT, capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(found) == len(points) or (not points and len(found) > 20)
    for one in found:
        assert all(one["killed"]), one
        assert (one["once"], one["left"], one["indexed"], one["counted"]) == (True, 0, 25, 25), one


class _Shippers:
    def __init__(self, url: str | None) -> None:
        self._url = url
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, folder: Path) -> subprocess.Popen[bytes]:
        known = {field.upper() for field in Settings.model_fields}
        environment = {key: value for key, value in os.environ.items() if key not in known}
        environment |= {"DATA_DIR": str(folder), "LEDGER_SEGMENT_SECONDS": "0.2"}
        environment |= {"PYTHONPATH": str(ROOT)}
        if self._url is not None:
            environment["LEDGER_DATABASE_URL"] = self._url
        folder.mkdir(exist_ok=True)
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.ledger.shipping.moving"],
                cwd=folder, env=environment, stdout=log, stderr=log,
            )  # fmt: skip
        self.started.append(process)
        return process


@pytest.mark.parametrize(
    ("kind", "kills"), [("sqlite", 2), pytest.param("postgresql", 8, marks=pytest.mark.slow)]
)
def test_shippers_killed_at_random(
    request: pytest.FixtureRequest, tmp_path: Path, make_settings: MakeSettings, kind: str,
    kills: int,
) -> None:  # fmt: skip
    """On PostgreSQL two machines; each kill finds them at work."""
    url = None if kind == "sqlite" else request.getfixturevalue("postgres_url")
    folders = [tmp_path] if url is None else [tmp_path / "a", tmp_path / "b"]
    database = open_database(make_settings(ledger_database_url=url))
    shippers = _Shippers(url)
    ids: list[str] = []
    try:
        running = [shippers.start(folder) for folder in folders]
        for kill in range(kills):
            ids += add(database, 100)
            patience = time.monotonic() + 120
            while counts(database)[1] <= kill * 100:
                assert time.monotonic() < patience
                time.sleep(0.01)
            place = kill % len(folders)
            running[place].send_signal(signal.SIGKILL)
            running[place].wait()
            running[place] = shippers.start(folders[place])
        patience = time.monotonic() + 180
        while counts(database)[0] or any(segments(Places(one).journal) for one in folders):
            assert time.monotonic() < patience
            time.sleep(0.1)
    finally:
        for process in shippers.started:
            process.kill()
            process.wait()
        found = counts(database)
        database.close()
    assert kept(*folders) == sorted(ids)
    assert found == (0, len(ids), len(ids))
