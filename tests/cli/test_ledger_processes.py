"""`slipway ledger tail --follow` and `ship` as processes of their own, ended by signals."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue

import pytest

from services.core.settings import Settings, load_settings
from services.ledger.database import lookup
from services.ledger.database.opening import open_database
from services.ledger.journal import Journal
from services.ledger.places import Places
from tests.ledger.journals import encoded, record
from tests.support.patience import PATIENCE

Start = Callable[..., "Process"]


class Process:
    """A `slipway` command that goes on, and the lines that it writes."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "services.cli", "ledger", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # As in a terminal: a shell without one starts programs deaf to Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        self.lines: Queue[str] = Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def line(self) -> str:
        return self.lines.get(timeout=PATIENCE)

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """Send a signal; return the exit code and what was said on standard error."""
        os.kill(self.process.pid, number)
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self.process.stderr is not None
        return code, self.process.stderr.read()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[Process] = []

    def run(*arguments: str) -> Process:
        started.append(Process(*arguments))
        return started[-1]

    yield run
    for process in started:
        process.close()


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("LEDGER_SEGMENT_SECONDS", "0.5")
    return load_settings()


def test_following_the_journal(settings: Settings, start: Start) -> None:
    """Through the ends of segments and of a writer, whoever writes."""
    journal = Journal(settings)
    made = [record(model="iris") for _ in range(60)]
    others = [record(model="wine") for _ in range(60)]
    journal.append(encoded(made[:1])[0])
    process = start("tail", "--follow", "--json", "--model", "iris")
    assert json.loads(process.line()) == made[0]
    for number, payload in enumerate(
        encoded(one for pair in zip(made[1:], others, strict=False) for one in pair)
    ):
        if number == 50:
            journal.close()
            journal = Journal(settings)
        journal.append(payload)
        time.sleep(0.02)
    assert [json.loads(process.line()) for _ in made[1:]] == made[1:]
    assert process.end(signal.SIGINT) == (130, "")
    assert process.lines.empty()
    journal.close()


@pytest.mark.slow
def test_shipping_by_hand(settings: Settings, start: Start) -> None:
    """`ship` takes what waits, ends upon SIGTERM, and gives way to one that ships already."""
    journal = Journal(settings)
    made = record()
    journal.append(encoded([made])[0])
    process, second = start("ship"), start("ship")
    until = time.monotonic() + PATIENCE
    while not (settings.data_dir / "ledger" / "status.json").exists():
        assert time.monotonic() < until
        time.sleep(0.1)
    database = open_database(settings)
    while True:
        with database.reading() as connection:
            if lookup.find(connection, made["id"]) is not None:
                break
        assert time.monotonic() < until
        time.sleep(0.1)
    database.close()
    assert {process.end(signal.SIGTERM)[0], second.end(signal.SIGTERM)[0]} == {0}
    journal.close()
    assert not list(Path(Places(settings.data_dir).dead).glob("*.jsonl"))
