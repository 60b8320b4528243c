"""`python -m services.ledger` as a process: signals, kills, and an MLflow that hangs."""

import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from services.core.settings import Settings
from services.ledger.journal import Journal
from services.ledger.places import Places
from services.ledger.reading import segments
from tests.conftest import settings_for_tests
from tests.ledger.journals import encoded, record
from tests.support.patience import AT_ONCE, PATIENCE

ROOT = Path(__file__).parents[3]


class Programs:
    """Starts processes in a folder, and ends what is left of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ids = folder / "ids"
        self._started: list[subprocess.Popen[bytes]] = []

    def shipper(self, **settings: Any) -> subprocess.Popen[bytes]:
        return self._start("services.ledger", **settings)

    def writer(self, count: int) -> subprocess.Popen[bytes]:
        name = "tests.ledger.shipping.write_records"
        return self._start(name, str(self.folder), str(self.ids), str(count))

    def end(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()

    def _start(self, name: str, *arguments: str, **settings: Any) -> subprocess.Popen[bytes]:
        known = {field.upper() for field in Settings.model_fields}
        environment = {key: value for key, value in os.environ.items() if key not in known}
        environment |= {"DATA_DIR": str(self.folder), "PYTHONPATH": str(ROOT)}
        environment |= {key: str(value) for key, value in settings.items()}
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", name, *arguments],
                cwd=self.folder, env=environment, stdout=log, stderr=log,
            )  # fmt: skip
        self._started.append(process)
        return process


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    found = Programs(tmp_path)
    yield found
    found.end()


@pytest.fixture
def deaf() -> Iterator[str]:
    """The address of something that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def until(true: Callable[[], Any], seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def status(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(Places(folder).status.read_bytes())
    except FileNotFoundError:
        return {"pid": None}
    return found


def ask(folder: Path, query: str) -> list[Any]:
    """Ask the database, without waiting for the shipper; nothing while there is none."""
    if not Places(folder).database.exists():
        return []
    with closing(sqlite3.connect(Places(folder).database)) as connection:
        try:
            return [row[0] for row in connection.execute(query)]
        except sqlite3.OperationalError:
            return []


def indexed(folder: Path) -> list[str]:
    return ask(folder, "SELECT id FROM predictions")


def write(folder: Path, count: int) -> list[str]:
    journal = Journal(settings_for_tests(data_dir=folder))
    records = [record() for _ in range(count)]
    for payload in encoded(records):
        journal.append(payload)
    journal.close()
    return [one["id"] for one in records]


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_it_ends_well_when_it_is_asked_to(
    programs: Programs, tmp_path: Path, number: signal.Signals
) -> None:
    written = write(tmp_path, 100)
    shipper = programs.shipper()
    until(lambda: len(indexed(tmp_path)) == 100)
    # No MLflow: that is all there is to do.
    until(lambda: not segments(Places(tmp_path).journal))
    assert status(tmp_path)["pid"] == shipper.pid
    shipper.send_signal(number)
    assert shipper.wait(PATIENCE) == 0
    assert sorted(indexed(tmp_path)) == sorted(written)
    assert status(tmp_path)["mlflow"] == "none"


@pytest.mark.slow
def test_it_ends_well_before_it_has_begun(programs: Programs, tmp_path: Path) -> None:
    first = programs.shipper()
    until(lambda: status(tmp_path)["pid"] == first.pid)
    waiting = programs.shipper()
    until(lambda: "stands by" in (tmp_path / "log").read_text())
    waiting.terminate()
    assert waiting.wait(PATIENCE) == 0
    assert first.poll() is None


def test_a_setting_that_is_not_accepted_is_named(programs: Programs, tmp_path: Path) -> None:
    assert programs.shipper(LEDGER_TRACE_RATE="many").wait(PATIENCE) == 1
    log = (tmp_path / "log").read_text()
    assert "LEDGER_TRACE_RATE" in log and "Traceback" not in log


def test_indexing_and_the_end_do_not_wait_for_an_mlflow_that_hangs(
    programs: Programs, tmp_path: Path, deaf: str
) -> None:
    written = write(tmp_path, 100)
    shipper = programs.shipper(MLFLOW_TRACKING_URI=deaf)
    until(lambda: len(indexed(tmp_path)) == 100)
    time.sleep(1)  # by now something waits for an answer
    written += write(tmp_path, 1)
    began = time.monotonic()
    until(lambda: len(indexed(tmp_path)) == 101)
    assert time.monotonic() - began < AT_ONCE
    shipper.terminate()
    began = time.monotonic()
    assert shipper.wait(PATIENCE) == 0
    assert time.monotonic() - began < AT_ONCE
    assert sorted(indexed(tmp_path)) == sorted(written)
    assert len(segments(Places(tmp_path).journal)) == 2, "MLflow has not had them"


@pytest.mark.slow
def test_one_that_stands_by_goes_on_after_a_kill(programs: Programs, tmp_path: Path) -> None:
    first = programs.shipper()
    until(lambda: status(tmp_path)["pid"] == first.pid)
    second = programs.shipper()
    until(lambda: "stands by" in (tmp_path / "log").read_text())
    first.kill()
    written = write(tmp_path, 10)
    until(lambda: status(tmp_path)["pid"] == second.pid)
    until(lambda: sorted(indexed(tmp_path)) == sorted(written))


@pytest.mark.parametrize(
    ("count", "kills"), [(2_000, 2), pytest.param(40_000, 20, marks=pytest.mark.slow)]
)
def test_kills_lose_and_double_nothing(
    programs: Programs, tmp_path: Path, count: int, kills: int
) -> None:
    chance = random.Random(5)
    writers = [programs.writer(count // 4) for _ in range(3)]
    for number in range(kills):
        shipper = programs.shipper()
        # It gets to do something before its end.
        _until_more(tmp_path)
        time.sleep(chance.uniform(0, 0.3))
        shipper.kill()
        shipper.wait()
        if number == 0:
            until(lambda: programs.ids.exists() and programs.ids.stat().st_size > 1000)
            writers[0].kill()
        if number == kills // 2:
            writers.append(programs.writer(count // 4))
    for writer in writers:
        writer.wait(PATIENCE)
    programs.shipper()
    until(lambda: not segments(_journal(tmp_path)))
    written, found = programs.ids.read_text().split(), indexed(tmp_path)
    assert len(set(found)) == len(found)
    assert set(written) <= set(found)
    # The one that was killed may have written a record down and not its id.
    assert len(found) - len(written) <= 1
    assert ask(tmp_path, "SELECT sum(count) FROM minutes") == [len(found)]
    until(lambda: ask(tmp_path, "SELECT count(*) FROM segments") == [0])


def _until_more(folder: Path) -> None:
    """Wait until more is indexed than now, or there is no more."""
    before = len(indexed(folder))
    until(lambda: len(indexed(folder)) > before or not segments(_journal(folder)))


def _journal(folder: Path) -> Path:
    return Places(folder).journal
