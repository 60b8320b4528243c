"""Processes that share a folder."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from services.core.metering.together import Together

ROOT = Path(__file__).parents[3]


class Writer:
    """A running `writer.py`; what it was told is done when `tell` returns."""

    def __init__(self, folder: Path, program: str = "writer") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.core.metering.writer", str(folder), program],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        self._read()

    def tell(self, *commands: str) -> None:
        for command in commands:
            self._write(command)
            self._read()

    def end(self) -> None:
        self._write("end")
        assert self._process.wait(60) == 0
        self._close()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(60)
        self._close()

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "done\n"

    def _close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "shared"
    made.mkdir()
    return made


@pytest.fixture
def writer(folder: Path) -> Iterator[Callable[..., Writer]]:
    """Start processes that write into the folder."""
    made: list[Writer] = []

    def start(program: str = "writer") -> Writer:
        made.append(Writer(folder, program))
        return made[-1]

    yield start
    for one in made:
        one.kill()


@pytest.fixture
def registry(folder: Path) -> CollectorRegistry:
    """What is exposed of the folder."""
    registry = CollectorRegistry()
    registry.register(Together(folder))
    return registry
